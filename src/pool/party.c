#include "pool/party.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fnv.h"
#include "base/mem.h"
#include "base/units.h"

void
parties_init(struct parties *all)
{
	hash_init(&all->table);
	all->conf = NULL;
	all->any = false;
}

static void
free_party(struct parties *all, struct party *p)
{
	hash_remove(&all->table, &p->hashed);
	free(p->name);
	free(p);
}

void
parties_clear(struct parties *all)
{
	struct hash_node *n;

	while ((n = hash_any(&all->table)) != NULL)
		free_party(all, HASH_OBJ(n, struct party, hashed));
	hash_clear(&all->table);
}

void
parties_configure(struct parties *all, const struct conf *conf)
{
	parties_clear(all);
	all->conf = conf;
	all->any = conf && conf->nlimits > 0;
}

static struct party *
find_party(struct parties *all, enum conf_party kind, const char *name)
{
	uint64_t hash = fnv_bytes(FNV_SEED + kind, name, strlen(name));
	const struct conf_limits *limits;
	struct hash_node *n;
	struct party *p;

	for (n = hash_first(&all->table, hash); n; n = hash_next(n)) {
		p = HASH_OBJ(n, struct party, hashed);
		if (p->kind == kind && strcmp(p->name, name) == 0)
			return p;
	}
	limits = all->conf ? conf_limits(all->conf, kind, name) : NULL;
	if (limits == NULL)
		return NULL;
	p = mem_calloc(1, sizeof *p);
	p->kind = kind;
	p->name = mem_strdup(name);
	p->max_clients = limits->max_clients;
	p->max_servers = limits->max_servers;
	p->priority_us = limits->priority * UNIT_S;
	list_init(&p->lanes);
	hash_add(&all->table, &p->hashed, hash);
	return p;
}

void
parties_find(struct parties *all, const char *role, uid_t uid, struct party *of[PARTY_KINDS])
{
	char number[16];

	of[CONF_PARTY_ROLE] = of[CONF_PARTY_UID] = NULL;
	if (!all->any)
		return;
	snprintf(number, sizeof number, "%u", (unsigned)uid);
	if (role)
		of[CONF_PARTY_ROLE] = find_party(all, CONF_PARTY_ROLE, role);
	of[CONF_PARTY_UID] = find_party(all, CONF_PARTY_UID, number);
}

bool
party_admit(struct parties *all, const char *role, uid_t uid, struct err *e)
{
	struct party *of[PARTY_KINDS];

	parties_find(all, role, uid, of);
	for (int i = 0; i < PARTY_KINDS; i++) {
		struct party *p = of[i];

		if (p == NULL || p->max_clients == 0 || p->clients < p->max_clients)
			continue;
		if (i == CONF_PARTY_ROLE)
			err_make(e, ERR_TOO_MANY_OF_ROLE, p->name, (unsigned)p->max_clients);
		else
			err_make(e, ERR_TOO_MANY_OF_UID, p->name, (unsigned)p->max_clients);
		return false;
	}
	for (int i = 0; i < PARTY_KINDS; i++)
		if (of[i])
			of[i]->clients++;
	return true;
}

void
party_add_client(struct parties *all, const char *role, uid_t uid)
{
	struct party *of[PARTY_KINDS];

	parties_find(all, role, uid, of);
	for (int i = 0; i < PARTY_KINDS; i++)
		if (of[i])
			of[i]->clients++;
}

void
party_drop_if_unused(struct parties *all, struct party *p)
{
	if (p->clients == 0 && p->servers == 0 && p->lanes.count == 0)
		free_party(all, p);
}

void
party_remove_client(struct parties *all, const char *role, uid_t uid)
{
	struct party *of[PARTY_KINDS];

	parties_find(all, role, uid, of);
	for (int i = 0; i < PARTY_KINDS; i++) {
		if (of[i] == NULL)
			continue;
		if (of[i]->clients > 0)
			of[i]->clients--;
		party_drop_if_unused(all, of[i]);
	}
}

void
party_say_full(const struct party *p, char *out, size_t out_size)
{
	snprintf(out, out_size, "%s \"%s\" has %u of %lld servers (max_servers)",
		 conf_party_name(p->kind), p->name, p->servers, (long long)p->max_servers);
}
