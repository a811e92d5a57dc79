/* First process of the control partition: one poll loop, its parts, and the few numbers.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PN_ROOTFS_INIT_H
#define PN_ROOTFS_INIT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define HUGE_PAGES     12 /* of 2 MiB, for penumbrad's rings and buffers; hugepages=N overrides */
#define MEDIUM_LABEL   "PENUMBRA"
#define DATA_LABEL     "PENUMBRA-DATA" /* cut to what the file system can hold: FAT has 11 letters */
#define MEDIUM_DIR     "/boot-medium"
#define DATA_DIR       "/data"
#define MEDIUM_WAIT_MS 10000 /* penumbra.wait=SECONDS overrides */
#define DRIVERS_MS     30000 /* one modprobe; then services start without what it has not loaded */
#define STOP_DAEMON_MS 10000 /* penumbrad writes back what its guests wrote */
#define STOP_OTHERS_MS 2000
#define LOG_FILE       "/run/log/messages"
#define LOG_FILE_OLD   LOG_FILE ".old"
#define LOG_FILE_MAX   65536 /* bytes; then it becomes LOG_FILE_OLD */
#define MS_FOREVER     (-1)

/* Milliseconds since boot; never steps. */
long long now_ms(void);
/* Value of NAME=value on the kernel command line; false if it is not there. */
bool cmdline_value(const char *name, char *value, size_t size);

/* log.c: say() goes to console and log, note() to the log alone. A line each, without the newline.
 */
void log_open(void);
int log_fd(void); /* the datagram socket behind syslog(3), or -1 */
void log_receive(void);
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* mounts.c */
void mounts_early(void);
void mounts_reserve_huge_pages(void);
const char *console_tty(void); /* device of the kernel's console: "/dev/ttyS0" */
bool write_file(const char *path, const char *text);

/* uevent.c: what the kernel tells about devices that come and go. */
int uevent_open(void);
void uevent_receive(int fd);

/* drivers.c: modules by modalias; one modprobe at a time takes all that has gathered. */
void drivers_coldplug(void);
void drivers_want(const char *modalias);
void drivers_run(void);
bool drivers_awaited(void); /* at work, and not hanging (told once) */
int drivers_timeout(void);  /* while awaited: ms until they hang */
bool drivers_reap(pid_t pid, int status);
bool drivers_channel(void); /* is there a hypervisor's channel? */

/* piix.c: IDE channels that firmware has left off; before their driver is loaded. */
void piix_coldplug(void);
/* The same for the function whose configuration space @fd is; bit n: channel n was off and is on.
 */
unsigned piix_switch_on(int fd);

/* medium.c: the boot medium and the data partition, whenever they appear. */
void medium_init(void);
void medium_block_added(const char *name);
void medium_block_removed(const char *name);
void medium_rescan(void);
bool medium_busy(void);
bool medium_settled(void); /* found, not wanted, or the limit has passed (told once) */
int medium_timeout(void);  /* ms until the limit, MS_FOREVER if nothing is waited for */
bool medium_reap(pid_t pid, int status);
void medium_unmount(void);

/* volume.c: label and type of the file system on an open device. */
struct volume {
	const char *type; /* as mount(2) wants it */
	char label[40];
};
bool volume_read(int fd, struct volume *v);
bool volume_label_is(const struct volume *v, const char *label);

/* service.c: the shell and penumbrad, started again when they end. */
void services_start(void);
void services_run(void);
int services_timeout(void);
bool services_reap(pid_t pid, int status);
size_t services_fds(int *fds, size_t max);
void services_receive(int fd);
void services_stop(void);

/* shutdown.c: orderly end; @how is reboot(2)'s command. Does not return. */
_Noreturn void shutdown_now(int how);

#endif
