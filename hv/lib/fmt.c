/* vsnprintf for the hypervisor: integers, characters, strings and pointers. No floats.
 *
 * A conversion that is not supported is printed as it stands in the format and takes no argument,
 * so that a mistake shows in the text. Host builds use the C library's.
 *
 * SPDX-License-Identifier: MIT
 */
#include "lib/str.h"

#ifndef PN_HOST

/* Where the text goes; @len counts on past @size, so the caller learns the whole length. */
struct out {
	char *buf;
	size_t size, len;
};

struct spec {
	bool left, zero;
	size_t width;
	int precision; /* -1: none given */
	int size;      /* sizeof the integer argument */
	char conv;
};

static void out_char(struct out *o, char c)
{
	if (o->len + 1 < o->size)
		o->buf[o->len] = c;
	o->len++;
}

static void out_fill(struct out *o, char c, size_t n)
{
	while (n--)
		out_char(o, c);
}

static void out_text(struct out *o, const char *s, size_t n)
{
	while (n--)
		out_char(o, *s++);
}

static void out_padded(struct out *o, const struct spec *sp, const char *s, size_t n)
{
	size_t pad = sp->width > n ? sp->width - n : 0;

	if (!sp->left)
		out_fill(o, ' ', pad);
	out_text(o, s, n);
	if (sp->left)
		out_fill(o, ' ', pad);
}

static void out_string(struct out *o, const struct spec *sp, const char *s)
{
	size_t max = sp->precision < 0 ? SIZE_MAX : (size_t)sp->precision;

	if (!s)
		s = "(null)";
	out_padded(o, sp, s, strnlen(s, max));
}

/* Digits of @v in @base, written backwards from @end; returns their start. Zero has one digit. */
static char *digits(char *end, u64 v, unsigned base, bool upper)
{
	const char *set = upper ? "0123456789ABCDEF" : "0123456789abcdef";

	do
		*--end = set[v % base];
	while (v /= base);
	return end;
}

/* @prefix: "-", "0x" or "". Zeros go between it and the digits. */
static void out_number(struct out *o, const struct spec *sp, const char *prefix, u64 v)
{
	bool hex = sp->conv == 'x' || sp->conv == 'X' || sp->conv == 'p';
	char buf[20], *end = buf + sizeof(buf);
	char *s = digits(end, v, hex ? 16 : 10, sp->conv == 'X');
	size_t n = v || sp->precision ? (size_t)(end - s) : 0;
	size_t plen = strlen(prefix), zeros = 0, pad;

	if (sp->precision >= 0)
		zeros = (size_t)sp->precision > n ? (size_t)sp->precision - n : 0;
	else if (sp->zero && !sp->left && sp->width > n + plen)
		zeros = sp->width - n - plen;
	pad = sp->width > n + plen + zeros ? sp->width - n - plen - zeros : 0;
	if (!sp->left)
		out_fill(o, ' ', pad);
	out_text(o, prefix, plen);
	out_fill(o, '0', zeros);
	out_text(o, s, n);
	if (sp->left)
		out_fill(o, ' ', pad);
}

static int parse_number(const char **f)
{
	int n = 0;

	while (**f >= '0' && **f <= '9') {
		if (n < 100000)
			n = n * 10 + (**f - '0');
		(*f)++;
	}
	return n;
}

static int parse_length(const char **f)
{
	switch (*(*f)++) {
	case 'h':
		if (**f != 'h')
			return sizeof(short);
		(*f)++;
		return sizeof(char);
	case 'l':
		if (**f == 'l')
			(*f)++;
		return sizeof(long long);
	case 'z':
	case 'j':
		return sizeof(u64);
	default:
		(*f)--;
		return sizeof(int);
	}
}

/* The width and precision may come from arguments, hence the va_list in a box: passing a va_list
 * on by value would leave the caller's position unspecified. */
struct args {
	va_list ap;
};

static void parse_spec(const char **f, struct args *args, struct spec *sp)
{
	*sp = (struct spec){.precision = -1};
	for (; **f == '-' || **f == '0'; (*f)++) {
		sp->left |= **f == '-';
		sp->zero |= **f == '0';
	}
	if (**f == '*') {
		int width = va_arg(args->ap, int);

		(*f)++;
		sp->left |= width < 0;
		sp->width = width < 0 ? 0u - (unsigned)width : (unsigned)width;
	} else {
		sp->width = (size_t)parse_number(f);
	}
	if (**f == '.') {
		(*f)++;
		if (**f == '*') {
			sp->precision = va_arg(args->ap, int);
			(*f)++;
		} else {
			sp->precision = parse_number(f);
		}
	}
	sp->size = parse_length(f);
	sp->conv = **f;
	if (**f)
		(*f)++;
}

static s64 arg_signed(struct args *args, int size)
{
	s64 v = size == sizeof(s64) ? va_arg(args->ap, s64) : va_arg(args->ap, int);

	return size == sizeof(short) ? (short)v : size == sizeof(char) ? (signed char)v : v;
}

static u64 arg_unsigned(struct args *args, int size)
{
	u64 v = size == sizeof(u64) ? va_arg(args->ap, u64) : va_arg(args->ap, unsigned);

	return size == sizeof(short) ? (u16)v : size == sizeof(char) ? (u8)v : v;
}

/* Returns false for a conversion that is not supported. */
static bool convert(struct out *o, const struct spec *sp, struct args *args)
{
	s64 v;
	char c;

	switch (sp->conv) {
	case 'd':
	case 'i':
		v = arg_signed(args, sp->size);
		out_number(o, sp, v < 0 ? "-" : "", v < 0 ? 0 - (u64)v : (u64)v);
		return true;
	case 'u':
	case 'x':
	case 'X':
		out_number(o, sp, "", arg_unsigned(args, sp->size));
		return true;
	case 'p':
		out_number(o, sp, "0x", (uintptr_t)va_arg(args->ap, void *));
		return true;
	case 'c':
		c = (char)va_arg(args->ap, int);
		out_padded(o, sp, &c, 1);
		return true;
	case 's':
		out_string(o, sp, va_arg(args->ap, const char *));
		return true;
	case '%':
		out_char(o, '%');
		return true;
	default:
		return false;
	}
}

int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
	struct out o = {.buf = buf, .size = size};
	struct args args;

	va_copy(args.ap, ap);
	while (*fmt) {
		const char *start = fmt;
		struct spec sp;

		if (*fmt++ != '%') {
			out_char(&o, *start);
			continue;
		}
		parse_spec(&fmt, &args, &sp);
		if (!convert(&o, &sp, &args))
			out_text(&o, start, (size_t)(fmt - start));
	}
	va_end(args.ap);
	if (size)
		buf[MIN(o.len, size - 1)] = '\0';
	return (int)o.len;
}

int snprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, size, fmt, ap);
	va_end(ap);
	return n;
}

#endif
