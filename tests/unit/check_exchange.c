/* The machine of a login by password: every move, legal and illegal, and its messages. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "base/log.h"
#include "session/exchange.h"

/* moves[from][to]: 'x' may be made. */
static const char *const moves[EXCHANGE_NSTATES] = {
    /* clang-format off */
    /*                        asked, chosen, fetching, challenged, proved, wrong, broken */
    [EXCHANGE_ASKED]      = ".xx..xx",
    [EXCHANGE_CHOSEN]     = "..x..xx",
    [EXCHANGE_FETCHING]   = "...x...",
    [EXCHANGE_CHALLENGED] = "....xxx",
    [EXCHANGE_PROVED]     = ".......",
    [EXCHANGE_WRONG]      = ".......",
    [EXCHANGE_BROKEN]     = ".......",
    /* clang-format on */
};

START_TEST(moves_are_those_of_the_table)
{
	for (int to = 0; to < EXCHANGE_NSTATES; to++) {
		struct exchange x = {.state = (uint8_t)_i, .session = 7};
		int status, expected = moves[_i][to] == 'x' ? 0 : 1;
		pid_t pid = fork();

		ck_assert_int_ge(pid, 0);
		if (pid == 0) {
			exchange_set_state(&x, (enum exchange_state)to);
			_exit(x.state == to ? 0 : 2);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == expected, "%s -> %s",
			      exchange_state_name((enum exchange_state)_i),
			      exchange_state_name((enum exchange_state)to));
	}
}
END_TEST

/* ---- a client ---- */

static struct exchange x;
static struct buf out;
static struct err e;

/* Adds a SASLInitialResponse to `to`. `length`: what it says of the length of `text`. */
static size_t
choice(uint8_t *to, const char *mechanism, const char *text, uint32_t length)
{
	size_t name = strlen(mechanism) + 1, bytes = text ? strlen(text) : 0;

	memcpy(to, mechanism, name);
	for (unsigned i = 0; i < 4; i++)
		to[name + i] = (uint8_t)(length >> (24 - 8 * i));
	memcpy(to + name + 4, text ? text : "", bytes);
	return name + 4 + bytes;
}

static void
begin(void)
{
	buf_init(&out, EXCHANGE_OUT_MAX);
	exchange_begin(&x, 7, &out);
	ck_assert_uint_eq(out.len, 24);
	ck_assert_mem_eq(buf_data(&out), "R\0\0\0\27\0\0\0\nSCRAM-SHA-256\0\0", 24);
	buf_reset(&out);
}

static void
choose(const char *text)
{
	uint8_t body[200];
	size_t n = choice(body, "SCRAM-SHA-256", text, text ? (uint32_t)strlen(text) : UINT32_MAX);

	exchange_read(&x, body, n, &out, &e);
}

static void
answer(const char *text)
{
	exchange_read(&x, (const uint8_t *)text, strlen(text), &out, &e);
}

/* Writes the client's last message. The password is "geheim". */
static void
last_message(char *text, size_t room, const struct verifier *v, const char *bare, const char *cbind)
{
	char without[600], message[1400], proof64[SCRAM_ENCODED(SCRAM_KEY)];
	uint8_t salted[SCRAM_KEY], key[SCRAM_KEY], stored[SCRAM_KEY], signature[SCRAM_KEY];
	char challenge[600], *nonce, *end;

	/* AuthenticationSASLContinue */
	ck_assert_mem_eq(buf_data(&out), "R", 1);
	snprintf(challenge, sizeof challenge, "%.*s", (int)(out.len - 9), buf_data(&out) + 9);
	nonce = challenge + 2;
	end = strchr(nonce, ',');
	snprintf(without, sizeof without, "c=%s,r=%.*s", cbind, (int)(end - nonce), nonce);
	snprintf(message, sizeof message, "%s,%s,%s", bare, challenge, without);
	PKCS5_PBKDF2_HMAC("geheim", 6, v->salt, v->salt_bytes, (int)v->iterations, EVP_sha256(),
			  SCRAM_KEY, salted);
	HMAC(EVP_sha256(), salted, SCRAM_KEY, (const uint8_t *)"Client Key", 10, key, NULL);
	SHA256(key, SCRAM_KEY, stored);
	HMAC(EVP_sha256(), stored, SCRAM_KEY, (const uint8_t *)message, strlen(message), signature,
	     NULL);
	for (unsigned i = 0; i < SCRAM_KEY; i++)
		key[i] ^= signature[i];
	scram_encode(key, SCRAM_KEY, proof64);
	snprintf(text, room, "%s,p=%s", without, proof64);
}

START_TEST(a_right_password)
{
	static const char *const flags[] = {"n", "y"}, *const cbinds[] = {"biws", "eSws"};
	char first[40], text[1200];
	struct verifier v;

	ck_assert_ptr_null(verifier_make("geheim", &v));
	begin();
	snprintf(first, sizeof first, "%s,,n=,r=abc", flags[_i & 1]);
	if (_i & 2) {
		choose(NULL);
		ck_assert_int_eq(x.state, EXCHANGE_CHOSEN);
		ck_assert_mem_eq(buf_data(&out), "R\0\0\0\10\0\0\0\13", 9);
		buf_reset(&out);
		answer(first);
	} else {
		choose(first);
	}
	ck_assert_int_eq(x.state, EXCHANGE_FETCHING);
	ck_assert_uint_eq(out.len, 0);
	exchange_challenge(&x, &v, &out);
	ck_assert_int_eq(x.state, EXCHANGE_CHALLENGED);
	last_message(text, sizeof text, &v, "n=,r=abc", cbinds[_i & 1]);
	buf_reset(&out);
	answer(text);
	ck_assert_int_eq(x.state, EXCHANGE_PROVED);
	ck_assert_mem_eq(buf_data(&out), "R\0\0\0\66\0\0\0\14v=", 11);
	buf_clear(&out);
}
END_TEST

START_TEST(a_wrong_one)
{
	static const uint8_t seed[VERIFIER_SEED] = {1};
	char text[1200];
	struct verifier v;

	if (_i == 0)
		verifier_mock(seed, "nobody", &v);
	else
		ck_assert_ptr_null(verifier_make("another", &v));
	begin();
	choose("n,,n=,r=abc");
	exchange_challenge(&x, &v, &out);
	last_message(text, sizeof text, &v, "n=,r=abc", "biws");
	buf_reset(&out);
	answer(text);
	ck_assert_int_eq(x.state, EXCHANGE_WRONG);
	ck_assert_uint_eq(out.len, 0);
	buf_clear(&out);
}
END_TEST

static void
is_refused(const char *sqlstate, const char *message, const char *detail)
{
	ck_assert_int_eq(x.state, EXCHANGE_BROKEN);
	ck_assert_str_eq(e.sqlstate, sqlstate);
	ck_assert_str_eq(e.message, message);
	if (detail)
		ck_assert_str_eq(e.detail, detail);
	else
		ck_assert_ptr_null(e.detail);
	ck_assert_ptr_null(e.hint);
	err_clear(&e);
	buf_clear(&out);
}

START_TEST(choices_that_are_refused)
{
	static const struct {
		const char *mechanism, *text;
		uint32_t length;
		const char *sqlstate, *message, *detail;
	} cases[] = {
	    {"SCRAM-SHA-256-PLUS", "n,,n=,r=a", 9, "08P01",
	     "client selected an invalid SASL authentication mechanism", NULL},
	    {"", "n,,n=,r=a", 9, "08P01",
	     "client selected an invalid SASL authentication mechanism", NULL},
	    {"SCRAM-SHA-256", "n,,n=,r=a", 10, "08P01", "insufficient data left in message", NULL},
	    {"SCRAM-SHA-256", "n,,n=,r=a", 8, "08P01", "invalid message format", NULL},
	    {"SCRAM-SHA-256", "n", UINT32_MAX, "08P01", "invalid message format", NULL},
	    {"SCRAM-SHA-256", "n", UINT32_MAX - 1, "08P01", "insufficient data left in message",
	     NULL},
	    {"SCRAM-SHA-256", "", 0, "08P01", "malformed SCRAM message", "The message is empty."},
	    {"SCRAM-SHA-256", "n,a=b,n=,r=a", 12, "0A000",
	     "client uses authorization identity, but it is not supported", NULL},
	};
	uint8_t body[200];
	size_t n;

	n = choice(body, cases[_i].mechanism, cases[_i].text, cases[_i].length);
	begin();
	exchange_read(&x, body, n, &out, &e);
	is_refused(cases[_i].sqlstate, cases[_i].message, cases[_i].detail);
}
END_TEST

START_TEST(bodies_that_are_refused)
{
	begin();
	exchange_read(&x, (const uint8_t *)"SCRAM", 5, &out, &e);
	is_refused("08P01", "invalid string in message", NULL);
	begin();
	exchange_read(&x, (const uint8_t *)"", 0, &out, &e);
	is_refused("08P01", "invalid string in message", NULL);
	begin();
	exchange_read(&x, (const uint8_t *)"SCRAM-SHA-256\0\0\0", 16, &out, &e);
	is_refused("08P01", "insufficient data left in message", NULL);
	begin();
	exchange_read(&x, (const uint8_t *)"SCRAM-SHA-256\0\0\0\0\3n\0n", 21, &out, &e);
	is_refused("08P01", "malformed SCRAM message",
		   "Message length does not match input length.");
	begin();
	exchange_refuse_type(&x, 'Q', &e);
	is_refused("08P01", "expected SASL response, got message type 81", NULL);
	begin();
	exchange_refuse_length(&x);
	ck_assert_int_eq(x.state, EXCHANGE_WRONG);
	buf_clear(&out);
}
END_TEST

START_TEST(another_nonce)
{
	static const uint8_t seed[VERIFIER_SEED] = {1};
	struct verifier v;

	verifier_mock(seed, "nobody", &v);
	begin();
	choose("n,,n=,r=abc");
	exchange_challenge(&x, &v, &out);
	buf_reset(&out);
	answer("c=biws,r=abc,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
	is_refused("08P01", "invalid SCRAM response", "Nonce does not match.");
}
END_TEST

/* The longest message of the client, and the longest answer. */
START_TEST(a_long_nonce)
{
	char text[SCRAM_MESSAGE_MAX];
	struct verifier v = {.iterations = UINT32_MAX, .salt_bytes = VERIFIER_SALT_MAX};
	size_t n = SCRAM_MESSAGE_MAX - 4;

	begin();
	choose(NULL);
	buf_reset(&out);
	memset(text, 'x', n);
	memcpy(text, "n,,n=,r=", 8);
	exchange_read(&x, (const uint8_t *)text, n, &out, &e);
	ck_assert_int_eq(x.state, EXCHANGE_FETCHING);
	exchange_challenge(&x, &v, &out);
	ck_assert(!out.failed);
	ck_assert_uint_eq(strlen(x.challenge), out.len - 9);
	ck_assert_mem_eq(x.challenge + strlen(x.challenge) - 12, "i=4294967295", 12);
	buf_clear(&out);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("exchange");
	TCase *tc = tcase_create("exchange");
	SRunner *sr;
	int failed;
	const char *fork_mode = getenv("CK_FORK");

	log_init("check_exchange", LOG_ERROR);

	/* This ends processes. */
	if (fork_mode == NULL || strcmp(fork_mode, "no") != 0)
		tcase_add_loop_test(tc, moves_are_those_of_the_table, 0, EXCHANGE_NSTATES);
	tcase_add_loop_test(tc, a_right_password, 0, 4);
	tcase_add_loop_test(tc, a_wrong_one, 0, 2);
	tcase_add_loop_test(tc, choices_that_are_refused, 0, 8);
	tcase_add_test(tc, bodies_that_are_refused);
	tcase_add_test(tc, another_nonce);
	tcase_add_test(tc, a_long_nonce);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
