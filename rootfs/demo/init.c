/* First process of the demo guest: mounts, loads the drivers that the stock kernel has as modules,
 * runs the self-check on the console, and powers the machine off by ACPI. An ordinary Linux user
 * land: it knows nothing about what it runs on.
 *
 * Kernel command line: demo.stay gives a shell after the self-check instead of the power-off.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MODULE_DIR  "/lib/modules"
#define MODULE_LIST MODULE_DIR "/order" /* one file name per line, dependencies first */

static void mount_one(const char *type, const char *where)
{
	mkdir(where, 0755);
	if (mount(type, where, type, 0, NULL) && errno != EBUSY)
		printf("init: cannot mount %s: %s\n", where, strerror(errno));
}

static void load_module(const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), MODULE_DIR "/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
		printf("init: cannot load %s: %s\n", name, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void load_modules(void)
{
	char name[128];
	FILE *list = fopen(MODULE_LIST, "re");

	if (!list)
		return;
	while (fgets(name, sizeof(name), list)) {
		name[strcspn(name, "\n")] = '\0';
		load_module(name);
	}
	fclose(list);
}

static void run(char *const argv[])
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execv(argv[0], argv);
		printf("init: cannot run %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		printf("init: cannot run %s: %s\n", argv[0], strerror(errno));
	else if (!WIFEXITED(status))
		printf("not ok 0 %s ended by signal %d\n", argv[0], WTERMSIG(status));
}

static int cmdline_has(const char *word)
{
	char line[2048] = "";
	int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	if (read(fd, line, sizeof(line) - 1) < 0)
		line[0] = '\0';
	close(fd);
	return strstr(line, word) != NULL;
}

int main(void)
{
	static char *const check[] = {"/bin/selfcheck", NULL};
	static char *const shell[] = {"/bin/setsid", "/bin/cttyhack", "/bin/sh", NULL};

	setvbuf(stdout, NULL, _IOLBF, 0);
	mount_one("proc", "/proc");
	mount_one("sysfs", "/sys");
	mount_one("devtmpfs", "/dev");
	setenv("PATH", "/bin", 1);
	load_modules();
	run(check);
	if (cmdline_has("demo.stay"))
		run(shell);
	fflush(stdout);
	sync();
	reboot(RB_POWER_OFF);
	printf("init: power-off failed: %s\n", strerror(errno));
	for (;;)
		pause();
}
