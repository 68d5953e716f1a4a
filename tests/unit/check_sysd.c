#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "loop/fdstore.h"
#include "loop/sysd.h"

#define FIRST  3 /* SD_LISTEN_FDS_START */
#define HANDED 2 /* descriptors that are handed down at most */

static char dir[] = "/tmp/check_sysd.XXXXXX";
static char path[sizeof dir + 20], other[sizeof dir + 20];
static int manager; /* plays NOTIFY_SOCKET */
static char heard[500];
static char why[300];

static int
bound(int type, const char *at)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	snprintf(addr.sun_path, sizeof addr.sun_path, "%s", at);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
	return fd;
}

static int
listening(const char *at)
{
	int fd = bound(SOCK_STREAM, at);

	ck_assert_int_eq(listen(fd, 1), 0);
	return fd;
}

/* The next message, or "" if there is none. */
static const char *
hear(void)
{
	ssize_t n = recv(manager, heard, sizeof heard - 1, MSG_DONTWAIT);

	heard[n > 0 ? n : 0] = 0;
	return heard;
}

static void
set_number(const char *variable, long long number)
{
	char text[30];

	snprintf(text, sizeof text, "%lld", number);
	setenv(variable, text, 1);
}

/* As the manager would: descriptor FIRST and so on are these. */
static void
hand_down(const char *names, int count, const int *fds)
{
	for (int i = 0; i < count; i++)
		ck_assert_int_eq(fds[i], FIRST + i);
	set_number("LISTEN_PID", getpid());
	set_number("LISTEN_FDS", count);
	setenv("LISTEN_FDNAMES", names, 1);
}

#ifdef HAVE_LIBSYSTEMD
START_TEST(the_states)
{
	struct sysd *s = sysd_new();
	struct timespec before;
	long long said;

	sysd_ready(s, "1 session");
	ck_assert_str_eq(hear(), "READY=1\nSTATUS=1 session");
	clock_gettime(CLOCK_MONOTONIC, &before);
	sysd_reloading(s);
	ck_assert_int_eq(sscanf(hear(), "RELOADING=1\nMONOTONIC_USEC=%lld", &said), 1);
	ck_assert_int_ge(said, before.tv_sec * 1000000LL + before.tv_nsec / 1000);
	ck_assert_int_lt(said, (before.tv_sec + 60) * 1000000LL);
	sysd_stopping(s, "ends");
	ck_assert_str_eq(hear(), "STOPPING=1\nSTATUS=ends");
	ck_assert_str_eq(hear(), "");
	sysd_free(s);
}
END_TEST

START_TEST(the_status_is_said_when_it_changes_and_not_too_often)
{
	struct sysd *s = sysd_new();
	int64_t now = 50 * SYSD_STATUS_US;

	sysd_ready(s, "a");
	hear();
	sysd_status(s, now, "a");
	ck_assert_str_eq(hear(), "");
	sysd_status(s, now, "b");
	ck_assert_str_eq(hear(), "STATUS=b");
	sysd_status(s, now + SYSD_STATUS_US - 1, "c");
	ck_assert_str_eq(hear(), "");
	sysd_status(s, now + SYSD_STATUS_US, "c");
	ck_assert_str_eq(hear(), "STATUS=c");
	sysd_status(s, now + 9 * SYSD_STATUS_US, "c");
	ck_assert_str_eq(hear(), "");
	sysd_free(s);
}
END_TEST

START_TEST(signs_of_life_at_half_of_the_time)
{
	struct sysd *s;
	int64_t now = 1000000000;

	set_number("WATCHDOG_USEC", 2000000);
	set_number("WATCHDOG_PID", getpid());
	s = sysd_new();
	ck_assert_ptr_null(getenv("WATCHDOG_USEC"));
	sysd_sweep(s, now);
	ck_assert_str_eq(hear(), "WATCHDOG=1");
	sysd_sweep(s, now + 999999);
	ck_assert_str_eq(hear(), "");
	sysd_sweep(s, now + 1000000);
	ck_assert_str_eq(hear(), "WATCHDOG=1");
	ck_assert_str_eq(hear(), "");
	sysd_free(s);
}
END_TEST

START_TEST(a_watchdog_of_another_process_or_of_nonsense_is_none)
{
	static const char *const pids[] = {"1", NULL, NULL};
	static const char *const times[] = {"2000000", "soon", "0"};

	for (int i = 0; i < 3; i++) {
		struct sysd *s;

		setenv("WATCHDOG_USEC", times[i], 1);
		unsetenv("WATCHDOG_PID");
		if (pids[i])
			setenv("WATCHDOG_PID", pids[i], 1);
		s = sysd_new();
		sysd_sweep(s, 1000000000);
		ck_assert_str_eq(hear(), "");
		sysd_free(s);
	}
}
END_TEST

START_TEST(an_end_that_goes_on_asks_for_more_time)
{
	struct sysd *s = sysd_new();
	int64_t now = 1000000000;
	char want[60];

	snprintf(want, sizeof want, "EXTEND_TIMEOUT_USEC=%d", SYSD_EXTEND_US);
	sysd_extend(s, now);
	ck_assert_str_eq(hear(), want);
	sysd_extend(s, now + SYSD_EXTEND_US / 4 - 1);
	ck_assert_str_eq(hear(), "");
	sysd_extend(s, now + SYSD_EXTEND_US / 4);
	ck_assert_str_eq(hear(), want);
	sysd_free(s);
}
END_TEST

START_TEST(a_manager_that_is_gone_is_no_reason_to_end)
{
	struct sysd *s = sysd_new();

	setenv("NOTIFY_SOCKET", other, 1);
	sysd_ready(s, "a");
	setenv("NOTIFY_SOCKET", "no/path", 1);
	sysd_stopping(s, "b");
	sysd_free(s);
}
END_TEST

START_TEST(the_socket_is_taken)
{
	int fd = listening(path);
	struct sysd *s;

	hand_down("pgwithd.socket", 1, &fd);
	s = sysd_new();
	ck_assert_ptr_null(getenv("LISTEN_FDS"));
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	ck_assert_int_eq(sysd_take_listener(s, path, why, sizeof why), fd);
	sysd_free(s); /* it is ours now */
	ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
	close(fd);
}
END_TEST

START_TEST(the_socket_is_found_by_another_way_to_its_file)
{
	char link[sizeof other + 4], by_link[sizeof other + 30];
	int fd = listening(path);
	struct sysd *s;

	snprintf(link, sizeof link, "%s.l", other);
	snprintf(by_link, sizeof by_link, "%s/.s.PGSQL.1", link);
	ck_assert_int_eq(symlink(dir, link), 0);
	hand_down("x", 1, &fd);
	s = sysd_new();
	ck_assert_int_eq(sysd_take_listener(s, by_link, why, sizeof why), fd);
	sysd_free(s);
	close(fd);
	unlink(link);
}
END_TEST

START_TEST(another_socket_is_refused_with_its_name)
{
	int fd = listening(other);
	struct sysd *s;

	hand_down("orders.socket", 1, &fd);
	s = sysd_new();
	ck_assert_int_eq(sysd_take_listener(s, path, why, sizeof why), -E_STATE);
	ck_assert_ptr_nonnull(strstr(why, "\"orders.socket\""));
	ck_assert_ptr_nonnull(strstr(why, other));
	ck_assert_ptr_nonnull(strstr(why, path));
	sysd_free(s);
	ck_assert_int_lt(fcntl(fd, F_GETFD), 0);
}
END_TEST

START_TEST(a_socket_without_its_file_is_refused)
{
	int fd = listening(path);
	struct sysd *s;

	unlink(path);
	hand_down("x", 1, &fd);
	s = sysd_new();
	ck_assert_int_eq(sysd_take_listener(s, path, why, sizeof why), -E_STATE);
	ck_assert_ptr_nonnull(strstr(why, "is gone"));
	sysd_free(s);
}
END_TEST

START_TEST(what_the_process_before_has_left_is_not_looked_at)
{
	int pair[2], fd;
	struct fdstore_fd *kept;
	struct sysd *s;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	pair[1] = fcntl(pair[1], F_DUPFD_CLOEXEC, 100);
	close(FIRST + 1);
	fd = listening(path);
	hand_down("pg/c:pgwith-x.socket", 2, (int[]){pair[0], fd});
	ck_assert_uint_eq(fdstore_others(), 1);
	ck_assert_uint_eq(fdstore_take(&kept), 1);
	ck_assert_str_eq(kept->name, "pg/c");
	ck_assert_int_eq(kept->fd, pair[0]);
	ck_assert_uint_ne(kept->cookie, 0);
	ck_assert_uint_eq(kept->cookie, fdstore_cookie(pair[0]));
	ck_assert_uint_ne(kept->cookie, fdstore_cookie(pair[1]));
	ck_assert_int_eq(fcntl(pair[0], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	s = sysd_new();
	ck_assert_int_eq(sysd_take_listener(s, path, why, sizeof why), fd);
	sysd_free(s);
	ck_assert_int_ge(fcntl(pair[0], F_GETFD), 0);
	fdstore_free(kept, 1);
	ck_assert_int_lt(fcntl(pair[0], F_GETFD), 0);
	close(fd);
	close(pair[1]);
}
END_TEST

START_TEST(what_is_no_listening_unix_socket_is_refused)
{
	struct sockaddr_un abstract = {.sun_family = AF_UNIX, .sun_path = "\0check_sysd"};

	for (int i = 0; i < 4; i++) {
		int fd = i == 0   ? bound(SOCK_STREAM, path)
			 : i == 1 ? bound(SOCK_DGRAM, path)
			 : i == 2 ? open("/dev/null", O_RDWR)
				  : socket(AF_UNIX, SOCK_STREAM, 0);
		struct sysd *s;

		if (i == 3) {
			ck_assert_int_eq(bind(fd, (struct sockaddr *)&abstract, sizeof abstract),
					 0);
			ck_assert_int_eq(listen(fd, 1), 0);
		}
		hand_down("thing", 1, &fd);
		s = sysd_new();
		ck_assert_int_eq(sysd_take_listener(s, path, why, sizeof why), -E_STATE);
		ck_assert_ptr_nonnull(strstr(why, "\"thing\", which is no listening Unix socket"));
		sysd_free(s);
		unlink(path);
	}
}
END_TEST

START_TEST(one_too_many_is_refused)
{
	int fds[2] = {listening(path), listening(other)};
	struct sysd *s;

	hand_down("a:b", 2, fds);
	s = sysd_new();
	ck_assert_int_eq(sysd_take_listener(s, path, why, sizeof why), -E_STATE);
	ck_assert_ptr_nonnull(strstr(why, "\"b\""));
	sysd_free(s);
	/* The same one twice. */
	unlink(path);
	fds[0] = listening(path);
	fds[1] = dup(fds[0]);
	hand_down("a:a", 2, fds);
	s = sysd_new();
	ck_assert_int_eq(sysd_take_listener(s, path, why, sizeof why), -E_STATE);
	ck_assert_ptr_nonnull(strstr(why, "2 sockets"));
	sysd_free(s);
}
END_TEST

START_TEST(sockets_of_another_process_are_not_ours)
{
	int fd = listening(path);
	struct sysd *s;

	hand_down("x", 1, &fd);
	set_number("LISTEN_PID", getppid());
	s = sysd_new();
	ck_assert_int_eq(sysd_take_listener(s, path, why, sizeof why), -E_NOTFOUND);
	sysd_free(s);
	close(fd);
}
END_TEST

START_TEST(nonsense_in_place_of_sockets_is_refused)
{
	struct sysd *s;

	set_number("LISTEN_PID", getpid());
	setenv("LISTEN_FDS", "many", 1);
	s = sysd_new();
	ck_assert_int_eq(sysd_take_listener(s, path, why, sizeof why), -E_STATE);
	ck_assert_ptr_nonnull(strstr(why, "LISTEN_FDS"));
	sysd_free(s);
}
END_TEST
#else
START_TEST(without_libsystemd_sockets_are_refused)
{
	int fd = listening(path);
	struct sysd *s;

	hand_down("x", 1, &fd);
	s = sysd_new();
	ck_assert_int_eq(sysd_take_listener(s, path, why, sizeof why), -E_STATE);
	ck_assert_ptr_nonnull(strstr(why, "without libsystemd"));
	sysd_ready(s, "a");
	ck_assert_str_eq(hear(), "");
	sysd_free(s);
	close(fd);
}
END_TEST
#endif

/* What the manager was given with the next message, which is left in `heard`. */
static int
given(void)
{
	struct iovec iov = {.iov_base = heard, .iov_len = sizeof heard - 1};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.space,
			     .msg_controllen = sizeof control.space};
	ssize_t n = recvmsg(manager, &msg, MSG_DONTWAIT);
	int fd;

	ck_assert_int_gt(n, 0);
	heard[n] = 0;
	ck_assert_ptr_nonnull(CMSG_FIRSTHDR(&msg));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof fd);
	return fd;
}

START_TEST(a_bag_keeps_many_as_one)
{
	enum { MANY = 600 };
	int fds[MANY], bag;
	uint64_t cookies[MANY];
	struct fdstore_fd *kept;
	bool found[MANY] = {false};

	for (int i = 0; i < MANY; i++) {
		fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		ck_assert_int_ge(fds[i], 0);
		cookies[i] = fdstore_cookie(fds[i]);
	}
	ck_assert_int_eq(fdstore_keep_bag("pg/bag-x", fds, MANY), 0);
	for (int i = 0; i < MANY; i++)
		close(fds[i]);
	bag = given();
	ck_assert_str_eq(heard, "FDSTORE=1\nFDPOLL=0\nFDNAME=pg/bag-x");
	if (bag != FIRST) {
		dup2(bag, FIRST);
		close(bag);
	}
	hand_down("pg/bag-x", 1, (int[]){FIRST});
	ck_assert_uint_eq(fdstore_take(&kept), MANY + 1);
	for (int i = 0; i < MANY + 1; i++) {
		ck_assert_str_eq(kept[i].name, kept[i].fd == FIRST ? "pg/bag-" : "pg/bag-x");
		ck_assert_int_eq(fcntl(kept[i].fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
		ck_assert(i == 0 || kept[i - 1].cookie < kept[i].cookie);
		for (int k = 0; k < MANY; k++)
			found[k] |= kept[i].cookie == cookies[k];
	}
	for (int k = 0; k < MANY; k++)
		ck_assert(found[k]);
	fdstore_free(kept, MANY + 1);
}
END_TEST

START_TEST(without_a_manager_nothing_is_sent)
{
	struct sysd *s;

	unsetenv("NOTIFY_SOCKET");
	s = sysd_new();
	setenv("NOTIFY_SOCKET", "/no/such/socket", 1);
	sysd_ready(s, "a");
	sysd_reloading(s);
	sysd_status(s, 1000000000, "b");
	sysd_extend(s, 1000000000);
	sysd_sweep(s, 1000000000);
	sysd_stopping(s, "c");
	ck_assert_str_eq(hear(), "");
	ck_assert_int_eq(sysd_take_listener(s, path, why, sizeof why), -E_NOTFOUND);
	sysd_free(s);
	sysd_free(NULL);
}
END_TEST

static void
setup(void)
{
	char at[sizeof dir + 20];
	int fd;

	for (fd = FIRST; fd < FIRST + HANDED; fd++)
		close(fd);
	snprintf(at, sizeof at, "%s/notify", dir);
	/* of one that has failed */
	unlink(at);
	unlink(path);
	unlink(other);
	fd = bound(SOCK_DGRAM, at);
	manager = fcntl(fd, F_DUPFD_CLOEXEC, 100);
	close(fd);
	setenv("NOTIFY_SOCKET", at, 1);
	log_init("check_sysd", LOG_ERROR);
}

static void
teardown(void)
{
	char at[sizeof dir + 20];

	snprintf(at, sizeof at, "%s/notify", dir);
	unlink(at);
	unlink(path);
	unlink(other);
	close(manager);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	for (int fd = FIRST; fd < FIRST + HANDED; fd++)
		close(fd);
}

int
main(void)
{
	Suite *s = suite_create("sysd");
	TCase *t = tcase_create("sysd");
	SRunner *r = srunner_create(s);
	int failed;

	srunner_set_fork_status(r, CK_FORK); /* they use descriptors by their numbers */
	if (mkdtemp(dir) == NULL)
		return EXIT_FAILURE;
	/* They are the tests', not libcheck's. */
	for (int fd = FIRST; fd < FIRST + HANDED; fd++)
		if (dup2(STDIN_FILENO, fd) != fd)
			return EXIT_FAILURE;
	snprintf(path, sizeof path, "%s/.s.PGSQL.1", dir);
	snprintf(other, sizeof other, "%s/.s.PGSQL.2", dir);
	tcase_add_checked_fixture(t, setup, teardown);
#ifdef HAVE_LIBSYSTEMD
	tcase_add_test(t, the_states);
	tcase_add_test(t, the_status_is_said_when_it_changes_and_not_too_often);
	tcase_add_test(t, signs_of_life_at_half_of_the_time);
	tcase_add_test(t, a_watchdog_of_another_process_or_of_nonsense_is_none);
	tcase_add_test(t, an_end_that_goes_on_asks_for_more_time);
	tcase_add_test(t, a_manager_that_is_gone_is_no_reason_to_end);
	tcase_add_test(t, the_socket_is_taken);
	tcase_add_test(t, the_socket_is_found_by_another_way_to_its_file);
	tcase_add_test(t, another_socket_is_refused_with_its_name);
	tcase_add_test(t, a_socket_without_its_file_is_refused);
	tcase_add_test(t, what_the_process_before_has_left_is_not_looked_at);
	tcase_add_test(t, what_is_no_listening_unix_socket_is_refused);
	tcase_add_test(t, one_too_many_is_refused);
	tcase_add_test(t, sockets_of_another_process_are_not_ours);
	tcase_add_test(t, nonsense_in_place_of_sockets_is_refused);
#else
	tcase_add_test(t, without_libsystemd_sockets_are_refused);
#endif
	tcase_add_test(t, a_bag_keeps_many_as_one);
	tcase_add_test(t, without_a_manager_nothing_is_sent);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	for (int fd = FIRST; fd < FIRST + HANDED; fd++)
		close(fd);
	rmdir(dir);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
