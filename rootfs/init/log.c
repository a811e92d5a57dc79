/* Messages of init and of whoever uses syslog(3): on the console and in a file of bounded size.
 *
 * SPDX-License-Identifier: MIT
 */
#include "init.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int file = -1, syslog_socket = -1;

static void open_file(void)
{
	file = open(LOG_FILE, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

void log_open(void)
{
	struct sockaddr_un where = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};

	mkdir("/run/log", 0755);
	open_file();
	syslog_socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (syslog_socket < 0 || bind(syslog_socket, (struct sockaddr *)&where, sizeof(where)))
		say("init: no /dev/log: programs cannot log: %m");
}

int log_fd(void)
{
	return syslog_socket;
}

static void rotate(void)
{
	struct stat st;

	if (file < 0 || fstat(file, &st) || st.st_size < LOG_FILE_MAX)
		return;
	close(file);
	rename(LOG_FILE, LOG_FILE_OLD);
	open_file();
}

static void append(const char *text)
{
	long long ms = now_ms();

	rotate();
	if (file >= 0)
		dprintf(file, "[%5lld.%03lld] %s\n", ms / 1000, ms % 1000, text);
}

static void message(bool console, const char *format, va_list arguments)
{
	char text[512];

	vsnprintf(text, sizeof(text), format, arguments);
	append(text);
	if (console)
		dprintf(STDERR_FILENO, "%s\n", text);
}

void say(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	message(true, format, arguments);
	va_end(arguments);
}

void note(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	message(false, format, arguments);
	va_end(arguments);
}

/* "<PRIORITY>text": the priority says nothing to a person. */
static const char *after_priority(const char *text)
{
	const char *end = text[0] == '<' ? strchr(text, '>') : NULL;

	return end ? end + 1 : text;
}

void log_receive(void)
{
	char text[1024];
	ssize_t n = recv(syslog_socket, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return;
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\0'))
		n--;
	text[n] = '\0';
	note("%s", after_priority(text));
}
