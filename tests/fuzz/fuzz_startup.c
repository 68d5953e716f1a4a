/* The first packet of a client: startup_read() and what walks its parameters. */
#include <string.h>

#include "base/err.h"
#include "fuzz.h"
#include "wire/startup.h"

/* Every pair lies inside the packet and is found again by its name. */
static void
walk(const struct startup *s, const char *packet)
{
	const char *at = s->params, *name, *value, *end = packet + s->length;

	while (startup_next(&at, &name, &value)) {
		MUST(name > packet && value > name && at > value && at < end);
		MUST(*name != 0);
		MUST(value == name + strlen(name) + 1 && at == value + strlen(value) + 1);
		MUST(startup_get(s, name) != NULL && startup_get(s, name) >= value);
	}
	MUST(at == end - 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct startup s, part;
	int result = startup_read(data, size, &s);

	MUST(result == 0 || result == -E_AGAIN || result == -E_RANGE || result == -E_SYNTAX);
	if (result == -E_RANGE && s.kind != STARTUP_CANCEL)
		MUST(s.length < 8 || s.length > STARTUP_LARGEST);
	if (result == 0 || result == -E_SYNTAX) {
		MUST(s.length >= 8 && s.length <= STARTUP_LARGEST && s.length <= size);
		/* However the bytes arrive, the answer is the same: none before the last one. */
		for (size_t n = 0; n < s.length; n += n < 16 ? 1 : 997)
			MUST(startup_read(data, n, &part) == -E_AGAIN);
		MUST(startup_read(data, s.length, &part) == result);
	}
	if (result != 0)
		return 0;
	switch (s.kind) {
	case STARTUP_PROTOCOL:
		if (s.params)
			walk(&s, (const char *)data);
		else
			MUST(s.major != 3);
		startup_get(&s, "user");
		break;
	case STARTUP_CANCEL:
		MUST(s.secret_bytes >= 4 && s.secret_bytes <= 256);
		MUST(s.secret + s.secret_bytes == data + s.length);
		break;
	case STARTUP_SSL:
	case STARTUP_GSSENC:
		break;
	}
	return 0;
}
