/* Opening the line; see input.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static const struct {
	unsigned baud;
	speed_t speed;
} speeds[] = {
	{9600, B9600},	   {19200, B19200},   {38400, B38400},	 {57600, B57600},
	{115200, B115200}, {230400, B230400}, {460800, B460800}, {921600, B921600},
};

static int complain(const char *where, int error)
{
	fprintf(stderr, "pncollect: %s: %s\n", where, strerror(error));
	return -error;
}

/* --- serial port ------------------------------------------------------------------------------ */

static int set_tty(int fd, unsigned baud)
{
	struct termios t;
	size_t i = 0;

	while (i < ARRAY_SIZE(speeds) && speeds[i].baud != baud)
		i++;
	if (i == ARRAY_SIZE(speeds)) {
		fprintf(stderr, "pncollect: %u baud is not offered; 9600 to 921600 are\n", baud);
		return -EINVAL;
	}
	if (tcgetattr(fd, &t))
		return -errno;
	t.c_iflag = IGNBRK;
	t.c_oflag = 0;
	t.c_lflag = 0;
	t.c_cflag &= ~(tcflag_t)(CSIZE | PARENB | CSTOPB);
#ifdef CRTSCTS
	t.c_cflag &= ~(tcflag_t)CRTSCTS;
#endif
	t.c_cflag |= CS8 | CREAD | CLOCAL;
	t.c_cc[VMIN] = 1;
	t.c_cc[VTIME] = 0;
	cfsetispeed(&t, speeds[i].speed);
	cfsetospeed(&t, speeds[i].speed);
	return tcsetattr(fd, TCSANOW, &t) ? -errno : 0;
}

static int open_path(struct input *in, const char *path, unsigned baud)
{
	struct stat st;
	int rc;

	if (stat(path, &st))
		return complain(path, errno);
	in->fd = open(path, (S_ISCHR(st.st_mode) ? O_RDWR : O_RDONLY) | O_NOCTTY | O_NONBLOCK);
	if (in->fd < 0)
		return complain(path, errno);
	in->whole = S_ISREG(st.st_mode);
	if (!S_ISCHR(st.st_mode) || !isatty(in->fd))
		return 0;
	/* Two readers would each get half of the line. */
	ioctl(in->fd, TIOCEXCL);
	rc = set_tty(in->fd, baud);
	if (rc)
		return complain(path, -rc);
	in->duplex = true;
	return 0;
}

/* --- sockets ---------------------------------------------------------------------------------- */

static int connect_unix(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd, error;

	if (strlen(path) >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	memcpy(a.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0 || !connect(fd, (struct sockaddr *)&a, sizeof(a)))
		return fd < 0 ? -errno : fd;
	error = errno;
	close(fd);
	return -error;
}

static int connect_tcp(const char *host_port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list, *a;
	const char *colon = strrchr(host_port, ':');
	char host[256];
	int fd = -1, error = EINVAL;

	if (!colon || (size_t)(colon - host_port) >= sizeof(host))
		return -EINVAL;
	snprintf(host, sizeof(host), "%.*s", (int)(colon - host_port), host_port);
	if (getaddrinfo(host, colon + 1, &hints, &list))
		return -EHOSTUNREACH;
	for (a = list; a; a = a->ai_next) {
		fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
		if (fd >= 0 && !connect(fd, a->ai_addr, a->ai_addrlen))
			break;
		error = errno;
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	freeaddrinfo(list);
	return fd < 0 ? -error : fd;
}

/* The other end, an emulator for instance, may be a moment behind. */
static int open_socket(struct input *in, const char *where, unsigned wait_s)
{
	const struct timespec pause = {0, 100000000};
	bool local = !strncmp(where, "unix:", 5);

	for (unsigned tries = 0;; tries++) {
		in->fd = local ? connect_unix(where + 5) : connect_tcp(where + 4);
		if (in->fd >= 0)
			break;
		if ((in->fd != -ENOENT && in->fd != -ECONNREFUSED) || tries >= 10 * wait_s)
			return complain(where, -in->fd);
		nanosleep(&pause, NULL);
	}
	fcntl(in->fd, F_SETFL, fcntl(in->fd, F_GETFL) | O_NONBLOCK);
	in->duplex = true;
	return 0;
}

int input_open(struct input *in, const char *where, unsigned baud, unsigned wait_s)
{
	*in = (struct input){.fd = STDIN_FILENO};
	if (!strcmp(where, "-"))
		return 0;
	if (!strncmp(where, "unix:", 5) || !strncmp(where, "tcp:", 4))
		return open_socket(in, where, wait_s);
	return open_path(in, where, baud);
}

int input_write(const struct input *in, const void *buf, size_t n)
{
	const char *p = buf;

	while (n) {
		struct pollfd ready = {in->fd, POLLOUT, 0};
		ssize_t done = write(in->fd, p, n);

		if (done > 0) {
			p += done;
			n -= (size_t)done;
		} else if (done < 0 && errno == EINTR) {
			continue;
		} else if (done < 0 && errno != EAGAIN) {
			return -errno;
		} else if (poll(&ready, 1, 1000) <= 0) {
			return -EAGAIN;
		}
	}
	return 0;
}
