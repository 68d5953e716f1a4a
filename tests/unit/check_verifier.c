/* Verifiers, against RFC 7677 and what PostgreSQL makes. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "conf/verifier.h"

/* PostgreSQL 15: SET password_encryption = 'scram-sha-256'; CREATE ROLE x PASSWORD 'secret', with
 * the salt of RFC 7677. */
static const char salt64[] = "W22ZaJ0SNY7soEsUEjb6gQ==";

/* Makes the verifier of a password by the book, not by libpq. */
static struct verifier
by_the_book(const char *password, const uint8_t *salt, size_t salt_bytes, unsigned iterations)
{
	struct verifier v = {.iterations = iterations, .salt_bytes = (uint8_t)salt_bytes};
	uint8_t salted[SCRAM_KEY], key[SCRAM_KEY];

	memcpy(v.salt, salt, salt_bytes);
	PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt, (int)salt_bytes, (int)iterations,
			  EVP_sha256(), SCRAM_KEY, salted);
	HMAC(EVP_sha256(), salted, SCRAM_KEY, (const uint8_t *)"Client Key", 10, key, NULL);
	SHA256(key, SCRAM_KEY, v.stored_key);
	HMAC(EVP_sha256(), salted, SCRAM_KEY, (const uint8_t *)"Server Key", 10, v.server_key,
	     NULL);
	return v;
}

/* RFC 7677, section 3. */
START_TEST(the_example_of_the_rfc)
{
	static const char message[] =
	    "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
	    "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,"
	    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
	uint8_t salt[16], proof[SCRAM_KEY], signature[SCRAM_KEY];
	char text[SCRAM_ENCODED(SCRAM_KEY)];
	struct verifier v;

	ck_assert_int_eq(scram_decode(salt64, strlen(salt64), salt, sizeof salt), 16);
	ck_assert_int_eq(
	    scram_decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", 44, proof, sizeof proof),
	    SCRAM_KEY);
	v = by_the_book("pencil", salt, sizeof salt, 4096);
	ck_assert(verifier_prove(&v, message, strlen(message), proof, signature));
	scram_encode(signature, sizeof signature, text);
	ck_assert_str_eq(text, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
	/* Any other proof, and any other message. */
	for (unsigned i = 0; i < 8 * SCRAM_KEY; i++) {
		proof[i / 8] ^= (uint8_t)(1 << i % 8);
		ck_assert(!verifier_prove(&v, message, strlen(message), proof, signature));
		proof[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	ck_assert(!verifier_prove(&v, message, strlen(message) - 1, proof, signature));
	v.mock = true;
	ck_assert(!verifier_prove(&v, message, strlen(message), proof, signature));
}
END_TEST

/* Libpq makes what the book says, with another salt each time. */
START_TEST(made_of_a_password)
{
	struct verifier one, other, book;

	ck_assert_ptr_null(verifier_make("geheim", &one));
	ck_assert_ptr_null(verifier_make("geheim", &other));
	ck_assert_mem_ne(one.salt, other.salt, 16);
	ck_assert_uint_eq(one.iterations, VERIFIER_ROUNDS);
	ck_assert_uint_eq(one.salt_bytes, 16);
	book = by_the_book("geheim", one.salt, one.salt_bytes, one.iterations);
	ck_assert_mem_eq(one.stored_key, book.stored_key, SCRAM_KEY);
	ck_assert_mem_eq(one.server_key, book.server_key, SCRAM_KEY);
}
END_TEST

/* SASLprep (RFC 4013, section 3): a soft hyphen vanishes, a feminine ordinal becomes a, a blank of
 * another kind a blank. Bytes that are no UTF-8, and forbidden characters, are taken as is. */
START_TEST(made_with_saslprep)
{
	static const char *const pairs[][2] = {{"I\xc2\xadX", "IX"},
					       {"\xc2\xaa", "a"},
					       {"a\xc2\xa0"
						"b",
						"a b"},
					       {"\xe2\x85\xa8", "IX"},
					       {"\xff\xfe", "\xff\xfe"},
					       {"a\x07", "a\x07"}};
	struct verifier v, book;

	ck_assert_ptr_null(verifier_make(pairs[_i][0], &v));
	book = by_the_book(pairs[_i][1], v.salt, v.salt_bytes, v.iterations);
	ck_assert_mem_eq(v.stored_key, book.stored_key, SCRAM_KEY);
}
END_TEST

#define KEYS                                            \
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:" \
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="

START_TEST(kinds)
{
	static const struct {
		const char *text;
		enum verifier_kind kind;
	} texts[] = {
	    {"", VERIFIER_NONE},
	    {"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" KEYS, VERIFIER_SCRAM},
	    {"SCRAM-SHA-256$1:AA==$" KEYS, VERIFIER_SCRAM},
	    {"SCRAM-SHA-256$", VERIFIER_WRONG},
	    {"SCRAM-SHA-256$0:AA==$" KEYS, VERIFIER_WRONG},
	    {"SCRAM-SHA-256$+1:AA==$" KEYS, VERIFIER_WRONG},
	    {"SCRAM-SHA-256$99999999999999999999:AA==$" KEYS, VERIFIER_WRONG},
	    {"SCRAM-SHA-256$4096:$" KEYS, VERIFIER_WRONG},
	    {"SCRAM-SHA-256$4096:AA==$" KEYS "x", VERIFIER_WRONG},
	    {"SCRAM-SHA-256$4096:AA==$AAAA:AAAA", VERIFIER_WRONG},
	    {"SCRAM-SHA-256$4096:AA==", VERIFIER_WRONG},
	    {"SCRAM-SHA-25", VERIFIER_PLAIN},
	    {"md5c4ca4238a0b923820dcc509a6f75849b", VERIFIER_MD5},
	    {"md5c4ca4238a0b923820dcc509a6f75849", VERIFIER_PLAIN},
	    {"md5C4CA4238A0B923820DCC509A6F75849B", VERIFIER_PLAIN},
	    {"secret", VERIFIER_PLAIN},
	};

	if (_i < (int)(sizeof texts / sizeof *texts))
		ck_assert_msg(verifier_kind(texts[_i].text) == texts[_i].kind, "%s",
			      texts[_i].text);
}
END_TEST

START_TEST(read_as_postgresql_writes_it)
{
	struct verifier v;

	ck_assert(verifier_read("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" KEYS, &v));
	ck_assert_uint_eq(v.iterations, 4096);
	ck_assert_uint_eq(v.salt_bytes, 16);
	ck_assert_uint_eq(v.salt[0], 0x5b);
	ck_assert_uint_eq(v.stored_key[31], 0);
	ck_assert_uint_eq(v.server_key[31], 1);
	ck_assert(!v.mock);
}
END_TEST

START_TEST(mocks_of_unknown_roles)
{
	static const uint8_t seed[VERIFIER_SEED] = {1}, other_seed[VERIFIER_SEED] = {2};
	struct verifier a, again, b, c;

	verifier_mock(seed, "a", &a);
	verifier_mock(seed, "a", &again);
	verifier_mock(seed, "b", &b);
	verifier_mock(other_seed, "a", &c);
	ck_assert(a.mock);
	ck_assert_uint_eq(a.iterations, VERIFIER_ROUNDS);
	ck_assert_uint_eq(a.salt_bytes, 16);
	ck_assert_mem_eq(a.salt, again.salt, 16);
	ck_assert_mem_ne(a.salt, b.salt, 16);
	ck_assert_mem_ne(a.salt, c.salt, 16);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("verifier");
	TCase *tc = tcase_create("verifier");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, the_example_of_the_rfc);
	tcase_add_test(tc, made_of_a_password);
	tcase_add_loop_test(tc, made_with_saslprep, 0, 6);
	tcase_add_loop_test(tc, kinds, 0, 16);
	tcase_add_test(tc, read_as_postgresql_writes_it);
	tcase_add_test(tc, mocks_of_unknown_roles);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
