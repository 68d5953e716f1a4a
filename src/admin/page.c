#include "admin/page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "admin/cards.h"
#include "admin/html.h"
#include "admin/style.h"
#include "admin/tables.h"
#include "base/units.h"

/* ---- verdicts ---- */

/* The worst thing that there is to be said. */
static enum status_mood
worst(const struct status *st)
{
	if (st->pools_bad > 0 || strcmp(st->phase, "running") != 0)
		return STATUS_BAD;
	return st->waiting > 0 ? STATUS_WAITS : STATUS_GOOD;
}

static void
add_headline(struct buf *out, const struct status *st)
{
	if (strcmp(st->phase, "running") != 0)
		buf_add_fmt(out, "pgwithd ends: it is %s", st->phase);
	else if (st->pools_bad > 0)
		buf_add_fmt(out, "%u of %u %s would not serve a client now", st->pools_bad,
			    st->pools_there, st->pools_there == 1 ? "pool" : "pools");
	else if (st->waiting > 0)
		html_count(out, st->waiting, "client waits", "clients wait");
	else if (st->pools_there == 0)
		html_add(out, "There is no pool");
	else
		html_add(out, "All is well");
}

/* What it holds: a server of a pool, a scope, a lock, a semaphore. */
static void
add_holding(struct buf *out, const struct status_held *h)
{
	bool server = h->pool && strcmp(h->kind, "scope") != 0;

	html_add(out, server ? "a server of" : h->kind);
	html_add(out, " <b>");
	html_text(out, server ? h->pool : h->name);
	html_add(out, "</b>");
}

/* Has an earlier verdict named this session? */
static bool
is_named_before(const struct status *st, unsigned i)
{
	for (unsigned k = 0; k < i; k++)
		if (st->verdicts[k].known &&
		    st->verdicts[k].culprit.who.session == st->verdicts[i].culprit.who.session)
			return true;
	return false;
}

static void
add_culprit(struct buf *out, const struct status_held *h, bool again)
{
	html_add(out, "<div class=culprit><span class=label>Behind it</span> ");
	if (again)
		buf_add_fmt(out, "session %llu again<p>", (unsigned long long)h->who.session);
	else {
		tables_who(out, &h->who, -1);
		html_add(out, "<p>");
		if (h->alike > 0)
			buf_add_fmt(out, "and %u more like it; ", h->alike);
		html_text(out, h->state);
		html_add(out, "; ");
	}
	html_add(out, "holds ");
	add_holding(out, h);
	html_add(out, " for <b class=n>");
	html_elapsed(out, h->held_us);
	html_add(out, "</b>");
	if (again) {
		html_add(out, "</p></div>");
		return;
	}
	if (*h->scopes) {
		html_add(out, "; scopes: <b>");
		html_text(out, h->scopes);
		html_add(out, "</b>");
	}
	if (h->class) {
		html_add(out, "; last statement: <b>");
		html_text(out, h->class);
		html_add(out, "</b>");
	}
	if (h->backend_pid)
		buf_add_fmt(out, "; backend <span class=n>pid %d</span>", h->backend_pid);
	html_add(out, "</p></div>");
}

static void
add_verdicts(struct buf *out, const struct status *st)
{
	buf_add_fmt(out, "<section class=\"verdict %s\"><h2>", cards_class(worst(st)));
	add_headline(out, st);
	html_add(out, "</h2><ul>");
	for (unsigned i = 0; i < st->nverdicts; i++) {
		const struct status_verdict *v = &st->verdicts[i];

		html_add(out, "<li>");
		cards_tag(out, v->mood);
		html_add(out, " ");
		html_text(out, v->text);
		if (v->moves)
			html_add(out,
				 "<div class=culprit><span class=label>Behind it</span> nobody "
				 "in particular: what is waited for has changed hands since the "
				 "first in the queue began to wait. The queue moves, and there is "
				 "too much to do.</div>");
		if (v->known)
			add_culprit(out, &v->culprit, is_named_before(st, i));
	}
	html_add(out, "</ul>");
	html_more(out, st->verdicts_there - st->nverdicts, "pgwith ready");
	html_add(out, "</section>");
}

/* ---- head and foot ---- */

static void
add_head(struct buf *out, const struct status *st)
{
	html_add(out, "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8>"
		      "<meta name=viewport content=\"width=device-width, initial-scale=1\">"
		      "<meta name=color-scheme content=\"light dark\"><title>");
	add_headline(out, st);
	html_add(out, " - pgwith on ");
	html_text(out, st->host);
	html_add(out,
		 "</title><style>" STYLE "</style></head>\n<body><header><h1>pgwith <small>on ");
	html_text(out, st->host);
	html_add(out, "</small></h1><p>");
	html_count(out, st->sessions, "client", "clients");
	html_add(out, " <small>(at most ");
	html_number(out, (uint64_t)st->max_sessions);
	html_add(out, ")</small>: ");
	html_count(out, st->active, "holds a server", "hold a server");
	html_add(out, ", ");
	html_count(out, st->waiting, "waits", "wait");
	html_add(out, ", ");
	html_number(out, st->idle);
	html_add(out, " idle</p><p class=when>");
	html_clock(out, st->at, "%Y-%m-%d %H:%M:%S %Z");
	html_add(out, "</p></header>\n<main>");
}

static void
add_refreshes(struct buf *out, unsigned refresh_s)
{
	static const unsigned choices[] = {1, 5, 30};

	if (refresh_s)
		buf_add_fmt(out, "Refreshed every %u s. ", refresh_s);
	else
		html_add(out, "Not refreshed. ");
	html_add(out, "Every");
	for (unsigned i = 0; i < sizeof choices / sizeof *choices; i++)
		buf_add_fmt(out, " <a href=\"?refresh=%u\">%u s</a>", choices[i], choices[i]);
	html_add(out, " <a href=\"?refresh=0\">off</a>. ");
}

static void
add_foot(struct buf *out, const struct status *st, unsigned refresh_s)
{
	char text[32];

	html_add(out, "</main>\n<footer><p>");
	add_refreshes(out, refresh_s);
	html_add(out,
		 "Percentiles are of this minute and the one before, rates of the last 10 to 20 "
		 "seconds. Where an hour is shaded there are no numbers: pgwithd or the pool was "
		 "not there.</p><p>pgwithd " PACKAGE_VERSION ", ");
	html_text(out, st->phase);
	html_add(out, " for ");
	html_elapsed(out, st->uptime_s * UNIT_S);
	if (st->process.resident)
		buf_add_fmt(
		    out, ", memory %s",
		    units_size_str((int64_t)st->process.resident >> 20 << 20, text, sizeof text));
	if (st->process.fds) {
		html_add(out, ", ");
		html_count(out, st->process.fds, "descriptor", "descriptors");
	}
	html_add(out, ". Numbers for Prometheus: <a href=\"metrics\">metrics</a>. In a terminal: "
		      "<code>pgwith top</code>.</p></footer></body></html>\n");
}

/* ---- the page ---- */

void
page_write(const struct status *st, unsigned refresh_s, struct buf *out)
{
	add_head(out, st);
	add_verdicts(out, st);
	cards_write(out, st);
	tables_write(out, st);
	add_foot(out, st, refresh_s);
}

unsigned
page_refresh(const char *query)
{
	const char *name = "refresh=";
	unsigned long s;
	char *end;

	for (; query; query = strchr(query, '&') ? strchr(query, '&') + 1 : NULL) {
		if (strncmp(query, name, strlen(name)) != 0)
			continue;
		query += strlen(name);
		s = strtoul(query, &end, 10);
		if (*query >= '0' && *query <= '9' && (*end == '\0' || *end == '&') &&
		    s <= PAGE_REFRESH_MAX_S)
			return (unsigned)s;
	}
	return PAGE_REFRESH_S;
}

const char *
page_policy(void)
{
	static char policy[256];
	unsigned char hash[EVP_MAX_MD_SIZE], text[4 * EVP_MAX_MD_SIZE / 3 + 4];
	unsigned bytes;

	if (*policy == '\0' &&
	    EVP_Digest(STYLE, sizeof STYLE - 1, hash, &bytes, EVP_sha256(), NULL)) {
		EVP_EncodeBlock(text, hash, (int)bytes);
		snprintf(policy, sizeof policy,
			 "default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; "
			 "form-action 'none'; frame-ancestors 'none'",
			 (char *)text);
	}
	return policy;
}

void
page_status(const struct daemon *d, const struct http_request *request, struct http_answer *answer)
{
	struct status st;

	answer->type = "text/html; charset=utf-8";
	answer->policy = page_policy();
	answer->refresh_s = page_refresh(request->query);
	status_look(&st, d);
	page_write(&st, answer->refresh_s, &answer->body);
	status_clear(&st);
}
