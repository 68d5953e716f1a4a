#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "wire/frame.h"
#include "wire/msg.h"
#include "wire/reader.h"

static void
check_bytes(struct buf *b, const char *bytes, size_t n)
{
	ck_assert(!b->failed);
	ck_assert_uint_eq(b->len, n);
	ck_assert_mem_eq(buf_data(b), bytes, n);
	buf_reset(b);
}
#define IS(b, bytes) check_bytes((b), (bytes), sizeof(bytes) - 1)

START_TEST(messages_are_built_byte_by_byte)
{
	static const char *const options[] = {"_pq_.a", "_pq_.b"};
	static const char *const values[] = {"a", NULL, ""};
	static const char *const pairs[] = {"user", "x", NULL};
	struct buf b;

	buf_init(&b, 1000);
	msg_auth_ok(&b);
	IS(&b, "R\0\0\0\10\0\0\0\0");
	msg_parameter_status(&b, "a", "bc");
	IS(&b, "S\0\0\0\11a\0bc\0");
	msg_backend_key(&b, 0x01020304, (const uint8_t *)"\xff\xfe\xfd\xfc", 4);
	IS(&b, "K\0\0\0\14\1\2\3\4\xff\xfe\xfd\xfc");
	msg_ready(&b, 'T');
	IS(&b, "Z\0\0\0\5T");
	msg_complete(&b, "SELECT 1");
	IS(&b, "C\0\0\0\15SELECT 1\0");
	msg_negotiate(&b, 3 << 16 | 2, options, 2);
	IS(&b, "v\0\0\0\x1a\0\3\0\2\0\0\0\2_pq_.a\0_pq_.b\0");
	msg_report(&b, 'N', "NOTICE", "01000", "m", "d", "h");
	IS(&b, "N\0\0\0\x25SNOTICE\0VNOTICE\0C01000\0Mm\0Dd\0Hh\0\0");
	msg_report(&b, 'E', "ERROR", "XX000", "m", NULL, NULL);
	IS(&b, "E\0\0\0\x1dSERROR\0VERROR\0CXX000\0Mm\0\0");
	msg_row_description(
	    &b, &(struct msg_column){.name = "n", .type_oid = 23, .type_size = 4, .modifier = -1},
	    1);
	IS(&b, "T\0\0\0\x1a\0\1n\0\0\0\0\0\0\0\0\0\0\x17\0\4\xff\xff\xff\xff\0\0");
	msg_data_row(&b, values, 3);
	IS(&b, "D\0\0\0\x13\0\3\0\0\0\1a\xff\xff\xff\xff\0\0\0\0");
	msg_data_row(&b, NULL, 0);
	IS(&b, "D\0\0\0\6\0\0");
	msg_query(&b, "ROLLBACK");
	IS(&b, "Q\0\0\0\15ROLLBACK\0");
	msg_sync(&b);
	IS(&b, "S\0\0\0\4");
	msg_copy_fail(&b, "x");
	IS(&b, "f\0\0\0\6x\0");
	msg_terminate(&b);
	IS(&b, "X\0\0\0\4");
	msg_startup(&b, pairs);
	IS(&b, "\0\0\0\20\0\3\0\0user\0x\0\0");
	msg_cancel_request(&b, 0x01020304, 0xfffefdfc);
	IS(&b, "\0\0\0\20\x04\xd2\x16\x2e\1\2\3\4\xff\xfe\xfd\xfc");
	buf_clear(&b);
}
END_TEST

START_TEST(statements_with_values)
{
	static const char *const values[] = {"ab", NULL};
	struct buf b;

	buf_init(&b, 1000);
	msg_parse(&b, "n", "x", NULL, 0);
	IS(&b, "P\0\0\0\12n\0x\0\0\0");
	msg_bind(&b, "p", "n", values, 2);
	IS(&b, "B\0\0\0\30p\0n\0\0\0\0\2\0\0\0\2ab\xff\xff\xff\xff\0\0");
	msg_execute(&b, "p");
	IS(&b, "E\0\0\0\12p\0\0\0\0\0");
	buf_clear(&b);
}
END_TEST

START_TEST(our_errors_have_their_severity)
{
	struct err e;
	struct buf b;

	buf_init(&b, 1000);
	err_make(&e, ERR_NO_USER);
	err_detail(&e, "d");
	msg_err(&b, &e);
	ck_assert_str_eq(msg_report_field(buf_data(&b) + 5, b.len - 5, 'S'), "FATAL");
	ck_assert_str_eq(msg_report_field(buf_data(&b) + 5, b.len - 5, 'C'), "28000");
	ck_assert_str_eq(msg_report_field(buf_data(&b) + 5, b.len - 5, 'D'), "d");
	ck_assert_ptr_null(msg_report_field(buf_data(&b) + 5, b.len - 5, 'H'));
	err_clear(&e);
	buf_reset(&b);
	err_make(&e, ERR_WAIT_TIMEOUT, "p", "1 s");
	msg_err(&b, &e);
	ck_assert_str_eq(msg_report_field(buf_data(&b) + 5, b.len - 5, 'V'), "ERROR");
	ck_assert_ptr_nonnull(msg_report_field(buf_data(&b) + 5, b.len - 5, 'H'));
	err_clear(&e);
	buf_clear(&b);
}
END_TEST

/* Whatever the room, what did not fit leaves the messages before it as they were. */
START_TEST(a_message_fits_whole_or_not_at_all)
{
	static const char *const pairs[] = {"user", "x", NULL};
	static const char *const values[] = {"abc", NULL, "d"};
	bool fitted;

	for (size_t max = 5; max < 60; max++) {
		for (int kind = 0; kind < 5; kind++) {
			struct buf b;

			buf_init(&b, max);
			msg_sync(&b);
			if (kind == 0)
				msg_startup(&b, pairs), fitted = max >= 5 + 16;
			else if (kind == 1)
				msg_cancel_request(&b, 1, 2), fitted = max >= 5 + 16;
			else if (kind == 2)
				msg_data_row(&b, values, 3), fitted = max >= 5 + 23;
			else if (kind == 3)
				msg_report(&b, 'E', "ERROR", "XX000", "m", NULL, NULL),
				    fitted = max >= 5 + 30;
			else
				msg_auth_ok(&b), fitted = max >= 5 + 9;
			ck_assert_int_eq(b.failed, !fitted);
			if (fitted)
				ck_assert_uint_gt(b.len, 5);
			else
				ck_assert_uint_eq(b.len, 5);
			ck_assert_mem_eq(buf_data(&b), "S\0\0\0\4", 5);
			buf_clear(&b);
		}
	}
}
END_TEST

START_TEST(the_reader_takes_fields)
{
	static const char body[] = "\1\1\2\1\2\3\4\1\2\3\4\5\6\7\10ab\0\0xyz";
	struct reader r;

	reader_init(&r, body, sizeof body - 1);
	ck_assert_uint_eq(reader_u8(&r), 1);
	ck_assert_uint_eq(reader_u16(&r), 0x0102);
	ck_assert_uint_eq(reader_u32(&r), 0x01020304);
	ck_assert_uint_eq(reader_u64(&r), 0x0102030405060708);
	ck_assert_str_eq(reader_str(&r), "ab");
	ck_assert_str_eq(reader_str(&r), "");
	ck_assert(!reader_done(&r));
	ck_assert_mem_eq(reader_bytes(&r, 3), "xyz", 3);
	ck_assert(reader_done(&r));
	ck_assert_uint_eq(reader_u8(&r), 0);
	ck_assert(!reader_done(&r));
}
END_TEST

START_TEST(the_reader_does_not_leave_the_body)
{
	for (size_t n = 0; n < 8; n++) {
		uint8_t *body = malloc(n ? n : 1);
		struct reader r;

		memset(body, 0xff, n);
		reader_init(&r, n ? body : NULL, n);
		ck_assert_uint_eq(reader_u64(&r), n >= 4 ? 0xffffffff00000000u : 0);
		ck_assert(r.failed);
		reader_init(&r, n ? body : NULL, n);
		ck_assert_str_eq(reader_str(&r), "");
		ck_assert(r.failed);
		/* It stays failed, though there would be enough. */
		ck_assert_uint_eq(reader_u8(&r), 0);
		ck_assert_ptr_null(reader_bytes(&r, 1));
		ck_assert(!reader_done(&r));
		reader_init(&r, n ? body : NULL, n);
		ck_assert_ptr_null(reader_bytes(&r, n + 1));
		ck_assert_ptr_null(reader_bytes(&r, SIZE_MAX));
		ck_assert(r.failed);
		free(body);
	}
}
END_TEST

START_TEST(fields_of_hostile_reports)
{
	static const char good[] = "SERROR\0C57014\0Mcanceled\0\0";
	static const struct {
		const char *body;
		size_t bytes;
		const char *code;
	} cases[] = {
	    {"", 0, NULL},
	    {"\0", 1, NULL},
	    {"C", 1, NULL},
	    {"Cx", 2, NULL},
	    {"C\0", 2, ""},
	    {"Cx\0", 3, "x"},
	    {"\0Cx\0\0", 5, NULL},
	    {"Ma\0C", 4, NULL},
	    {"MC57014", 7, NULL},
	    {"Ma\0Cb\0Cc\0\0", 10, "b"},
	    {"\xff\xff\0C1\0\0", 7, "1"},
	};

	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint8_t *body = malloc(cases[i].bytes ? cases[i].bytes : 1);

		memcpy(body, cases[i].body, cases[i].bytes);
		ck_assert_pstr_eq(msg_report_field(body, cases[i].bytes, 'C'), cases[i].code);
		free(body);
	}
	ck_assert_ptr_null(msg_report_field(NULL, 0, 'C'));
	for (size_t n = 0; n < sizeof good; n++) {
		uint8_t *body = malloc(n ? n : 1);
		const char *got;

		memcpy(body, good, n);
		got = msg_report_field(body, n, 'C');
		ck_assert_int_eq(got != NULL, n >= 14);
		if (got != NULL)
			ck_assert_str_eq(got, "57014");
		free(body);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("msg");
	TCase *t = tcase_create("msg");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, messages_are_built_byte_by_byte);
	tcase_add_test(t, statements_with_values);
	tcase_add_test(t, our_errors_have_their_severity);
	tcase_add_test(t, a_message_fits_whole_or_not_at_all);
	tcase_add_test(t, the_reader_takes_fields);
	tcase_add_test(t, the_reader_does_not_leave_the_body);
	tcase_add_test(t, fields_of_hostile_reports);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
