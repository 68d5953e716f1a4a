#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "loop/listen.h"
#include "loops.h"

static char dir[] = "/tmp/check_listen.XXXXXX";
static char path[sizeof dir + 20], lock_path[sizeof dir + 30];
static struct loop *loop;
static int accepted[200];
static unsigned naccepted;
static char why[300];

static void
on_accepted(void *arg, int fd)
{
	ck_assert_ptr_eq(arg, &naccepted);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	accepted[naccepted++] = fd;
}

static struct listen *
make(mode_t mode)
{
	why[0] = 0;
	return listen_new(loop, dir, 5432, mode, (uid_t)-1, (gid_t)-1, on_accepted, &naccepted, why,
			  sizeof why);
}

static int
connect_to(const char *to)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	ck_assert_int_ge(fd, 0);
	snprintf(addr.sun_path, sizeof addr.sun_path, "%s", to);
	if (connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0)
		return fd;
	close(fd);
	return -1;
}

static void
turn(void)
{
	loop_turn(loop, false);
}

static void
close_accepted(void)
{
	while (naccepted > 0)
		close(accepted[--naccepted]);
}

START_TEST(clients_come_in_and_all_is_removed)
{
	struct listen *l = make(0700);
	struct stat st;
	int fds[100];

	ck_assert_msg(l != NULL, "%s", why);
	ck_assert_str_eq(listen_path(l), path);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert(S_ISSOCK(st.st_mode));
	for (int i = 0; i < 100; i++)
		ck_assert_int_ge(fds[i] = connect_to(path), 0);
	turn();
	ck_assert_uint_eq(naccepted, 64); /* bounded work for each turn */
	turn();
	ck_assert_uint_eq(naccepted, 100);
	listen_resume(l); /* of one that is not paused */
	for (int i = 0; i < 100; i++)
		close(fds[i]);
	close_accepted();
	listen_free(l);
	listen_free(NULL);
	listen_resume(NULL);
	ck_assert_int_eq(access(path, F_OK), -1);
	ck_assert_int_eq(access(lock_path, F_OK), -1);
}
END_TEST

/* Connects `n` clients, and returns how many of them the next turn accepts. All leave then. */
static unsigned
accepted_of(int n)
{
	unsigned before = naccepted, came;
	int fds[100];

	for (int i = 0; i < n; i++)
		ck_assert_int_ge(fds[i] = connect_to(path), 0);
	turn();
	came = naccepted - before;
	while (naccepted - before < (unsigned)n)
		turn();
	for (int i = 0; i < n; i++)
		close(fds[i]);
	close_accepted();
	return came;
}

START_TEST(no_more_is_tried_than_come)
{
	struct listen *l = make(0700);
	unsigned most = 0;

	ck_assert_msg(l != NULL, "%s", why);
	ck_assert_uint_eq(accepted_of(1), 1);
	/* One was there, so one is tried. */
	ck_assert_uint_eq(accepted_of(10), 1);
	/* Clients who come alone for long: a second try is made at few wake-ups only. */
	for (int i = 0; i < 200; i++)
		ck_assert_uint_eq(accepted_of(1), 1);
	for (int i = 0; i < 5; i++)
		ck_assert_uint_eq(accepted_of(2), 1);
	/* When many come again and again, more and more are tried, but never more than 64. */
	for (int i = 0; i < 10; i++) {
		unsigned came = accepted_of(100);

		ck_assert_uint_le(came, 64);
		most = came > most ? came : most;
	}
	ck_assert_uint_ge(most, 8);
	listen_free(l);
}
END_TEST

/* Those beyond leave their descriptors to others: they wait in the kernel. */
START_TEST(a_storm_takes_few_descriptors)
{
	struct listen *l = make(0700);
	int fds[150], before, after;

	for (int i = 0; i < 150; i++)
		ck_assert_int_ge(fds[i] = connect_to(path), 0);
	close(before = dup(0));
	turn();
	close(after = dup(0));
	ck_assert_int_eq(after - before, 64);
	for (int i = 0; i < 2; i++)
		turn();
	ck_assert_uint_eq(naccepted, 150);
	for (int i = 0; i < 150; i++)
		close(fds[i]);
	close_accepted();
	listen_free(l);
}
END_TEST

START_TEST(permissions_are_as_asked_whatever_the_umask)
{
	static const mode_t modes[] = {0777, 0700, 0660, 0};

	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		mode_t before = umask(i % 2 ? 0 : 0777);
		struct listen *l = make(modes[i]);
		struct stat st;

		umask(before);
		ck_assert_msg(l != NULL, "%s", why);
		ck_assert_int_eq(stat(path, &st), 0);
		ck_assert_int_eq(st.st_mode & 07777, modes[i]);
		listen_free(l);
	}
}
END_TEST

START_TEST(owner_and_group)
{
	struct listen *l;
	struct stat st;

	l = listen_new(loop, dir, 5432, 0777, getuid(), getgid(), on_accepted, &naccepted, why,
		       sizeof why);
	ck_assert_msg(l != NULL, "%s", why);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_uid, getuid());
	ck_assert_uint_eq(st.st_gid, getgid());
	listen_free(l);
}
END_TEST

/* As a daemon that was killed leaves it: a socket and a lock file that nobody holds. */
START_TEST(a_stale_socket_is_replaced)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), client;
	struct listen *l;

	snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
	close(fd);
	close(open(lock_path, O_CREAT | O_RDWR, 0600));
	ck_assert_int_eq(connect_to(path), -1);
	l = make(0700);
	ck_assert_msg(l != NULL, "%s", why);
	client = connect_to(path);
	ck_assert_int_ge(client, 0);
	turn();
	ck_assert_uint_eq(naccepted, 1);
	close(client);
	close_accepted();
	listen_free(l);
}
END_TEST

START_TEST(a_socket_in_use_is_left_alone)
{
	struct listen *l = make(0700);
	int client;

	ck_assert_msg(l != NULL, "%s", why);
	/* The lock belongs to the open file: another descriptor is as good as another process. */
	ck_assert_ptr_null(make(0777));
	ck_assert_ptr_nonnull(strstr(why, "is in use by another process"));
	ck_assert_ptr_nonnull(strstr(why, path));
	client = connect_to(path);
	ck_assert_int_ge(client, 0);
	turn();
	ck_assert_uint_eq(naccepted, 1);
	close(client);
	close_accepted();
	listen_free(l);
}
END_TEST

START_TEST(what_cannot_be_made_says_why)
{
	char longer[200];
	struct listen *l;

	memset(longer, 'x', sizeof longer - 1);
	longer[0] = '/';
	longer[sizeof longer - 1] = 0;
	l = listen_new(loop, longer, 1, 0700, -1, -1, on_accepted, &naccepted, why, sizeof why);
	ck_assert_ptr_null(l);
	ck_assert_ptr_nonnull(strstr(why, "longer than"));
	l = listen_new(loop, "/no/such/directory", 1, 0700, -1, -1, on_accepted, &naccepted, why,
		       sizeof why);
	ck_assert_ptr_null(l);
	ck_assert_ptr_nonnull(strstr(why, strerror(ENOENT)));
	/* A directory in the socket's place is not removed. */
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_ptr_null(make(0700));
	ck_assert_ptr_nonnull(strstr(why, path));
	ck_assert_int_eq(rmdir(path), 0);
	unlink(lock_path);
	/* Nor is a link in the lock's place followed. */
	ck_assert_int_eq(symlink("/dev/null", lock_path), 0);
	ck_assert_ptr_null(make(0700));
	ck_assert_int_eq(unlink(lock_path), 0);
}
END_TEST

START_TEST(out_of_descriptors_it_pauses)
{
	struct listen *l = make(0700);
	struct rlimit limit, low;
	int a, b;

	ck_assert_msg(l != NULL, "%s", why);
	a = connect_to(path);
	b = connect_to(path);
	ck_assert(a >= 0 && b >= 0);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	low = limit;
	low.rlim_cur = (rlim_t)b + 1;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	turn();
	ck_assert_uint_eq(naccepted, 0);
	/* Paused, it raises no event: nothing but the retry's timer is active. */
	for (int i = 0; i < 3; i++)
		turn();
	ck_assert_uint_eq(naccepted, 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	turn();
	ck_assert_uint_eq(naccepted, 0);
	listen_resume(l);
	turn();
	ck_assert_uint_eq(naccepted, 2);
	close_accepted();
	/* And by itself after a second. */
	close(a);
	close(b);
	a = connect_to(path);
	low.rlim_cur = (rlim_t)a + 1;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	turn();
	ck_assert_uint_eq(naccepted, 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	while (naccepted == 0)
		loop_turn(loop, true);
	close(a);
	close_accepted();
	listen_free(l);
}
END_TEST

static void
setup(void)
{
	loop = loops_new();
	log_init("check_listen", LOG_ERROR);
}

static void
teardown(void)
{
	loop_free(loop);
}

int
main(void)
{
	Suite *s = suite_create("listen");
	TCase *t = tcase_create("listen");
	SRunner *r = srunner_create(s);
	int failed;

	srunner_set_fork_status(r, CK_FORK); /* they change the limit of descriptors */
	if (mkdtemp(dir) == NULL)
		return EXIT_FAILURE;
	snprintf(path, sizeof path, "%s/.s.PGSQL.5432", dir);
	snprintf(lock_path, sizeof lock_path, "%s.lock", path);
	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, clients_come_in_and_all_is_removed);
	tcase_add_test(t, no_more_is_tried_than_come);
	tcase_add_test(t, a_storm_takes_few_descriptors);
	tcase_add_test(t, permissions_are_as_asked_whatever_the_umask);
	tcase_add_test(t, owner_and_group);
	tcase_add_test(t, a_stale_socket_is_replaced);
	tcase_add_test(t, a_socket_in_use_is_left_alone);
	tcase_add_test(t, what_cannot_be_made_says_why);
	/* Leaves memory, or needs descriptors, as valgrind does not have it. */
	if (getenv("PGWITH_VALGRIND") == NULL)
		tcase_add_test(t, out_of_descriptors_it_pauses);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	unlink(path);
	unlink(lock_path);
	rmdir(dir);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
