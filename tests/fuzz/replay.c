/* Runs a harness over files, without libFuzzer: those named, or the corpus in the directory named,
 * by default that of the source tree. Each file is one TAP test; a property that does not hold ends
 * the program. */
#include <dirent.h>
#include <string.h>

#include "base/mem.h"
#include "fuzz.h"

#ifndef CORPUS
#error "CORPUS: the harness's directory under tests/fuzz/corpus"
#endif

/* The file in memory of exactly its size, so that ASan and valgrind see its end; NULL if it cannot
 * be read. The caller frees it. */
static uint8_t *
contents(const char *path, size_t *size)
{
	uint8_t *data = NULL;
	FILE *f = fopen(path, "rb");
	long end;

	if (f == NULL)
		return NULL;
	if (fseek(f, 0, SEEK_END) == 0 && (end = ftell(f)) >= 0) {
		rewind(f);
		*size = (size_t)end;
		data = malloc(*size ? *size : 1);
		if (data && fread(data, 1, *size, f) != *size) {
			free(data);
			data = NULL;
		}
	}
	fclose(f);
	return data;
}

static void
replay(unsigned number, const char *path)
{
	size_t size = 0;
	uint8_t *data = contents(path, &size);
	const char *name = strrchr(path, '/');

	if (data == NULL) {
		printf("not ok %u - %s cannot be read\n", number, path);
		return;
	}
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	printf("ok %u - " CORPUS " %s\n", number, name ? name + 1 : path);
	fflush(stdout);
}

static int
visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static unsigned
replay_directory(const char *directory)
{
	struct dirent **entries;
	int n = scandir(directory, &entries, visible, alphasort);

	for (int i = 0; i < n; i++) {
		char *path = mem_printf("%s/%s", directory, entries[i]->d_name);

		replay((unsigned)i + 1, path);
		free(path);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return n > 0 ? (unsigned)n : 0;
}

int
main(int argc, char **argv)
{
	const char *srcdir = getenv("PGWITH_SRCDIR");
	unsigned count = 0;
	char *corpus;

	if (argc > 1) {
		for (int i = 1; i < argc; i++)
			replay(++count, argv[i]);
	} else {
		corpus = mem_printf("%s/tests/fuzz/corpus/" CORPUS, srcdir ? srcdir : ".");
		count = replay_directory(corpus);
		free(corpus);
	}
	if (count == 0) {
		printf("Bail out! no corpus\n");
		return EXIT_FAILURE;
	}
	printf("1..%u\n", count);
	return EXIT_SUCCESS;
}
