/* The texts of SCRAM-SHA-256, and base64. What PostgreSQL says to each of these messages, and to
 * thousands of others, tests/integration/auth.py compares. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "wire/scram.h"

static const char nonce[] = "rOprNGfwEbeRWgbNEkqO";

START_TEST(first_messages)
{
	static const struct {
		const char *text;
		char flag;
		const char *bare;
	} good[] = {
	    {"n,,n=user,r=rOprNGfwEbeRWgbNEkqO", 'n', "n=user,r=rOprNGfwEbeRWgbNEkqO"},
	    {"y,,n=,r=rOprNGfwEbeRWgbNEkqO", 'y', "n=,r=rOprNGfwEbeRWgbNEkqO"},
	    {"n,,n=*,r=rOprNGfwEbeRWgbNEkqO,x=1,Y=", 'n', "n=*,r=rOprNGfwEbeRWgbNEkqO,x=1,Y="},
	};
	struct scram_problem p;
	struct scram_first f;

	ck_assert_int_eq(scram_read_first(good[_i].text, &f, &p), 0);
	ck_assert_int_eq(f.flag, good[_i].flag);
	ck_assert_str_eq(f.bare, good[_i].bare);
	ck_assert_uint_eq(f.nonce_bytes, strlen(nonce));
	ck_assert_mem_eq(f.nonce, nonce, strlen(nonce));
}
END_TEST

static const char malformed[] = "malformed SCRAM message";

static const struct {
	const char *text, *message, *detail;
	bool unsupported;
} wrong_first[] = {
    {"", malformed, "Unexpected channel-binding flag \"0x00\".", false},
    {"x,,n=,r=a", malformed, "Unexpected channel-binding flag \"'x'\".", false},
    {"p=tls-server-end-point,,n=,r=a", malformed,
     "The client selected SCRAM-SHA-256 without channel binding, but the SCRAM message includes "
     "channel binding data.",
     false},
    {"n", malformed, "Comma expected, but found character \"0x00\".", false},
    {"y=,,n=,r=a", malformed, "Comma expected, but found character \"'='\".", false},
    {"n,a=other,n=,r=a", "client uses authorization identity, but it is not supported", "", true},
    {"n,b,n=,r=a", malformed, "Unexpected attribute \"'b'\" in client-first-message.", false},
    {"n,,m=x,n=,r=a", "client requires an unsupported SCRAM extension", "", true},
    {"n,,r=a", malformed, "Expected attribute \"n\" but found \"'r'\".", false},
    {"n,,n", malformed, "Expected character \"=\" for attribute \"n\".", false},
    {"n,,n=", malformed, "Expected attribute \"r\" but found \"0x00\".", false},
    {"n,,n=,r=a\x7f", "non-printable characters in SCRAM nonce", "", false},
    {"n,,n=,r=a,,", malformed, "Attribute expected, but found invalid character \"','\".", false},
    {"n,,n=,r=a,\xe4=", malformed, "Attribute expected, but found invalid character \"0xe4\".",
     false},
    {"n,,n=,r=a,x", malformed, "Expected character \"=\" for attribute \"x\".", false},
};

START_TEST(wrong_first_messages)
{
	struct scram_problem p;
	struct scram_first f;

	ck_assert_int_eq(scram_read_first(wrong_first[_i].text, &f, &p), -E_SYNTAX);
	ck_assert_str_eq(p.message, wrong_first[_i].message);
	ck_assert_str_eq(p.detail, wrong_first[_i].detail);
	ck_assert_int_eq(p.unsupported, wrong_first[_i].unsupported);
}
END_TEST

/* 32 bytes of zeros */
#define PROOF "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

START_TEST(last_messages)
{
	static const struct {
		const char *text;
		char flag;
		size_t without;
	} good[] = {
	    {"c=biws,r=abc,p=" PROOF, 'n', 12},
	    {"c=eSws,r=abc,p=" PROOF, 'y', 12},
	    {"c=biws,r=abc,x=1,y=,p=" PROOF, 'n', 19},
	};
	static const uint8_t zeros[SCRAM_KEY];
	struct scram_problem p;
	struct scram_final f;

	ck_assert_int_eq(scram_read_final(good[_i].text, good[_i].flag, &f, &p), 0);
	ck_assert_uint_eq(f.without_proof, good[_i].without);
	ck_assert_uint_eq(f.nonce_bytes, 3);
	ck_assert_mem_eq(f.nonce, "abc", 3);
	ck_assert_mem_eq(f.proof, zeros, sizeof zeros);
}
END_TEST

static const struct {
	const char *text, *message, *detail;
} wrong_final[] = {
    {"", malformed, "Expected attribute \"c\" but found \"0x00\"."},
    {"c=eSws,r=abc,p=" PROOF, "unexpected SCRAM channel-binding attribute in client-final-message",
     ""},
    {"c=biwsx,r=abc,p=" PROOF, "unexpected SCRAM channel-binding attribute in client-final-message",
     ""},
    {"c=biws", malformed, "Expected attribute \"r\" but found \"0x00\"."},
    {"c=biws,r=abc", malformed, "Attribute expected, but found end of string."},
    {"c=biws,r=abc,x=1", malformed, "Attribute expected, but found end of string."},
    {"c=biws,r=abc,p=", malformed, "Malformed proof in client-final-message."},
    {"c=biws,r=abc,p=AAAA", malformed, "Malformed proof in client-final-message."},
    {"c=biws,r=abc,p=AAAA" PROOF, malformed, "Malformed proof in client-final-message."},
    {"c=biws,r=abc,p=" PROOF ",x=1", malformed,
     "Garbage found at the end of client-final-message."},
};

START_TEST(wrong_last_messages)
{
	struct scram_problem p;
	struct scram_final f;

	ck_assert_int_eq(scram_read_final(wrong_final[_i].text, 'n', &f, &p), -E_SYNTAX);
	ck_assert_str_eq(p.message, wrong_final[_i].message);
	ck_assert_str_eq(p.detail, wrong_final[_i].detail);
}
END_TEST

START_TEST(base64_and_back)
{
	uint8_t data[64], back[64];
	char text[SCRAM_ENCODED(sizeof data)];

	for (unsigned i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 37 + 11);
	for (size_t n = 0; n <= sizeof data; n++) {
		scram_encode(data, n, text);
		ck_assert_uint_eq(strlen(text) + 1, SCRAM_ENCODED(n));
		ck_assert_int_eq(scram_decode(text, strlen(text), back, sizeof back), (int)n);
		ck_assert_mem_eq(data, back, n);
		if (n > 0)
			ck_assert_int_eq(scram_decode(text, strlen(text), back, n - 1), -E_SYNTAX);
	}
	scram_encode((const uint8_t *)"fooba", 5, text);
	ck_assert_str_eq(text, "Zm9vYmE=");
}
END_TEST

/* As PostgreSQL: half a group and other characters are refused, and so are blanks. */
START_TEST(base64_of_others)
{
	static const struct {
		const char *text;
		int bytes;
	} texts[] = {
	    {"Zm9vYmE=", 5},       {"Zg==", 1},      {"Zg=", -E_SYNTAX},  {"Zm9v ", -E_SYNTAX},
	    {"Z", -E_SYNTAX},      {"=", -E_SYNTAX}, {"Z===", -E_SYNTAX}, {"Zm9v!", -E_SYNTAX},
	    {"Zm9v-_", -E_SYNTAX}, {"", 0}};
	uint8_t out[8];

	ck_assert_int_eq(scram_decode(texts[_i].text, strlen(texts[_i].text), out, sizeof out),
			 texts[_i].bytes);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("scram");
	TCase *tc = tcase_create("scram");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, first_messages, 0, 3);
	tcase_add_loop_test(tc, wrong_first_messages, 0,
			    (int)(sizeof wrong_first / sizeof *wrong_first));
	tcase_add_loop_test(tc, last_messages, 0, 3);
	tcase_add_loop_test(tc, wrong_last_messages, 0,
			    (int)(sizeof wrong_final / sizeof *wrong_final));
	tcase_add_test(tc, base64_and_back);
	tcase_add_loop_test(tc, base64_of_others, 0, 10);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
