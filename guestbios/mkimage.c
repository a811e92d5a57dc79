/* Host tool: joins the two halves into the 128 KiB image and closes the checksums of the tables
 * that stand in ROM. mkimage post.bin rom16.bin guestbios.bin
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define IMAGE_SIZE 0x20000
#define HALF	   0x10000
#define ROM16_VMA  0x0100 /* where rom16.lds starts */

static uint8_t image[IMAGE_SIZE];

static int load(const char *path, uint32_t at, uint32_t room, int exact)
{
	FILE *f = fopen(path, "rb");
	size_t n;

	if (!f) {
		perror(path);
		return 0;
	}
	n = fread(image + at, 1, room, f);
	if (fgetc(f) != EOF || (exact && n != room)) {
		fprintf(stderr, "%s: %zu bytes do not %s %u\n", path, n, exact ? "fill" : "fit",
			room);
		fclose(f);
		return 0;
	}
	fclose(f);
	return 1;
}

/* The one 16-byte aligned place in F0000-FFFFF with this signature; NULL if none or several. */
static uint8_t *find(const char *signature)
{
	uint8_t *found = NULL;

	for (uint32_t at = HALF; at < IMAGE_SIZE; at += 16) {
		if (memcmp(image + at, signature, strlen(signature)) != 0)
			continue;
		if (found) {
			fprintf(stderr, "mkimage: %s stands twice\n", signature);
			return NULL;
		}
		found = image + at;
	}
	if (!found)
		fprintf(stderr, "mkimage: no %s\n", signature);
	return found;
}

/* Make n bytes sum to zero by the byte at `at`. */
static void close_sum(uint8_t *p, uint32_t n, uint32_t at)
{
	uint8_t sum = 0;

	p[at] = 0;
	for (uint32_t i = 0; i < n; i++)
		sum += p[i];
	p[at] = -sum;
}

static int checksums(void)
{
	uint8_t *bios32 = find("_32_"), *pir = find("$PIR"), *smbios = find("_SM_");

	if (!bios32 || !pir || !smbios)
		return 0;
	close_sum(bios32, 16, 10);
	close_sum(pir, pir[6] | pir[7] << 8, 31);
	close_sum(smbios + 16, 15, 5);
	close_sum(smbios, 31, 4);
	return 1;
}

static int save(const char *path)
{
	FILE *f = fopen(path, "wb");
	int ok = f && fwrite(image, IMAGE_SIZE, 1, f) == 1;

	if (f)
		ok &= fclose(f) == 0;
	if (!ok)
		perror(path);
	return ok;
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: mkimage post.bin rom16.bin out.bin\n");
		return 2;
	}
	memset(image, 0xff, sizeof(image));
	return !(load(argv[1], 0, HALF, 0) &&
		 load(argv[2], HALF + ROM16_VMA, HALF - ROM16_VMA, 1) && checksums() &&
		 save(argv[3]));
}
