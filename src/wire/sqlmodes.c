#include "wire/sqlmodes.h"

static bool
read_level(struct sqltext *at, struct sqlmodes *m)
{
	if (!sqltext_accept(at, "level"))
		return false;
	m->level = true;
	m->serializable = sqltext_accept(at, "serializable");
	if (m->serializable)
		return true;
	if (sqltext_accept(at, "repeatable"))
		return sqltext_accept(at, "read");
	return sqltext_accept(at, "read") &&
	       (sqltext_accept(at, "committed") || sqltext_accept(at, "uncommitted"));
}

static bool
read_access(struct sqltext *at, struct sqlmodes *m)
{
	m->access = SQLMODES_READ_ONLY;
	if (sqltext_accept(at, "only"))
		return true;
	m->access = SQLMODES_READ_WRITE;
	m->writes = true;
	return sqltext_accept(at, "write");
}

static bool
read_mode(struct sqltext *at, struct sqlmodes *m)
{
	if (sqltext_accept(at, "isolation"))
		return read_level(at, m);
	if (sqltext_accept(at, "read"))
		return read_access(at, m);
	m->deferrable = !sqltext_accept(at, "not");
	return sqltext_accept(at, "deferrable");
}

bool
sqlmodes_read_list(struct sqltext *at, struct sqlmodes *m)
{
	bool comma = false;

	while (comma || !sqltext_nothing_follows(at)) {
		if (!read_mode(at, m))
			return false;
		comma = sqltext_accept_char(at, ',');
	}
	return true;
}

static bool
read_begin(struct sqltext *at)
{
	if (sqltext_accept(at, "start"))
		return sqltext_accept(at, "transaction");
	if (!sqltext_accept(at, "begin"))
		return false;
	if (!sqltext_accept(at, "work"))
		sqltext_accept(at, "transaction");
	return true;
}

bool
sqlmodes_read(const char *text, size_t bytes, struct sqlmodes *m)
{
	struct sqltext at;

	*m = (struct sqlmodes){.begins = false};
	if (sqltext_is_ambiguous(text, bytes))
		return false;
	sqltext_init(&at, text, bytes, 0);
	m->begins = read_begin(&at);
	if (!m->begins && !(sqltext_accept(&at, "set") && sqltext_accept(&at, "transaction")))
		return false;
	/* SET TRANSACTION needs a mode. */
	if (!m->begins && sqltext_nothing_follows(&at))
		return false;
	return sqlmodes_read_list(&at, m);
}
