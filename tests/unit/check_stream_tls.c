/* stream over TLS: the other side is OpenSSL too, in the same process, on a socketpair whose
 * buffers are small, so that reads and writes stop anywhere in a record. */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/err.h"
#include "loop/stream.h"
#include "loops.h"

#define QUEUE_MAX (256 * 1024)
#define BLOCK     40000

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
#define NVERSIONS ((int)(sizeof versions / sizeof *versions))

struct end {
	struct loop *loop;
	struct stream st;
	SSL_CTX *client_ctx, *server_ctx;
	SSL *ssl, *peer;
	int peer_fd;
	uint64_t wrote, got;           /* by the stream: bytes of the pattern */
	uint64_t peer_wrote, peer_got; /* by the other side */
	unsigned readables, drains;
	size_t most; /* bytes that one read asks for */
	bool over;
	ssize_t last; /* what the read that ended it returned */
};

/* The byte at a place of a direction's bytes: anything lost, doubled or moved shows. */
static uint8_t
pattern(uint64_t at)
{
	return (uint8_t)(at ^ (at >> 8) * 31 ^ (at >> 16) * 7);
}

static void
fill(uint8_t *to, uint64_t at, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		to[i] = pattern(at + i);
}

static void
compare(const uint8_t *data, uint64_t at, size_t bytes)
{
	size_t i = 0;

	while (i < bytes && data[i] == pattern(at + i))
		i++;
	ck_assert_msg(i == bytes, "byte %llu is wrong", (unsigned long long)(at + i));
}

static void
on_readable(struct stream *st, void *arg)
{
	struct end *e = arg;
	ssize_t n = stream_read(st, loop_scratch(e->loop), e->most);

	e->readables++;
	if (n > 0) {
		compare(loop_scratch(e->loop), e->got, (size_t)n);
		e->got += (uint64_t)n;
	} else if (n != -E_AGAIN) {
		e->over = true;
		e->last = n;
		stream_close(st);
	}
}

static void
on_drained(struct stream *st, void *arg)
{
	struct end *e = arg;

	ck_assert_uint_eq(stream_queued(st), 0);
	e->drains++;
}

static const struct stream_ops ops = {on_readable, on_drained, NULL};

/* ---- two ends ---- */

static SSL_CTX *
server_context(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509_NAME *name = X509_get_subject_name(cert);

	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"test", -1, -1, 0);
	X509_set_issuer_name(cert, name);
	X509_set_pubkey(cert, key);
	ck_assert_int_gt(X509_sign(cert, key, EVP_sha256()), 0);
	ck_assert_int_eq(SSL_CTX_use_certificate(ctx, cert), 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey(ctx, key), 1);
	X509_free(cert);
	EVP_PKEY_free(key);
	return ctx;
}

static void
shake_hands(struct end *e)
{
	int a = 0, b = 0;

	for (int i = 0; i < 100 && (a != 1 || b != 1); i++) {
		a = SSL_connect(e->ssl);
		b = SSL_accept(e->peer);
	}
	ck_assert_int_eq(a, 1);
	ck_assert_int_eq(b, 1);
	ERR_clear_error();
}

/* The stream is not made yet: the descriptor is SSL_get_fd(e->ssl). */
static void
connect_ends(struct end *e, int version)
{
	int fds[2], small = 4608;

	memset(e, 0, sizeof *e);
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	for (int i = 0; i < 2; i++)
		setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	e->loop = loops_new();
	e->client_ctx = SSL_CTX_new(TLS_client_method());
	e->server_ctx = server_context();
	SSL_CTX_set_min_proto_version(e->server_ctx, version);
	SSL_CTX_set_max_proto_version(e->server_ctx, version);
	e->ssl = SSL_new(e->client_ctx);
	e->peer = SSL_new(e->server_ctx);
	e->peer_fd = fds[1];
	e->most = LOOP_SCRATCH;
	SSL_set_fd(e->ssl, fds[0]);
	SSL_set_fd(e->peer, fds[1]);
	SSL_set_mode(e->peer, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	shake_hands(e);
	ck_assert_int_eq(SSL_version(e->ssl), version);
}

static void
make(struct end *e, int version)
{
	connect_ends(e, version);
	stream_init(&e->st, e->loop, SSL_get_fd(e->ssl), QUEUE_MAX, &ops, e);
	stream_set_ssl(&e->st, e->ssl);
}

static void
hang_up(struct end *e)
{
	close(e->peer_fd);
	e->peer_fd = -1;
}

static void
end(struct end *e)
{
	stream_close(&e->st);
	SSL_free(e->ssl);
	SSL_free(e->peer);
	SSL_CTX_free(e->client_ctx);
	SSL_CTX_free(e->server_ctx);
	if (e->peer_fd >= 0)
		close(e->peer_fd);
	loop_free(e->loop);
	ERR_clear_error();
}

/* Turns of the loop until one has nothing to do; a loop that spins gets to 1000. */
static unsigned
turns(struct end *e)
{
	unsigned n, seen;

	for (n = 0; n < 1000; n++) {
		seen = e->readables + e->drains;
		loop_turn(e->loop, false);
		if (seen == e->readables + e->drains)
			break;
	}
	return n;
}

/* ---- the other side ---- */

static bool
peer_would_block(struct end *e, int r)
{
	int why = SSL_get_error(e->peer, r);

	return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
}

/* Returns whether the kernel has kept a part of it back. */
static bool
peer_writes(struct end *e, size_t bytes)
{
	static uint8_t block[BLOCK];
	int r;

	fill(block, e->peer_wrote, bytes);
	r = SSL_write(e->peer, block, (int)bytes);
	if (r > 0)
		e->peer_wrote += (uint64_t)r;
	else
		ck_assert(peer_would_block(e, r));
	return r <= 0;
}

static size_t
peer_reads(struct end *e, size_t bytes)
{
	static uint8_t block[BLOCK];
	int r = SSL_read(e->peer, block, (int)bytes);

	if (r <= 0) {
		ck_assert(peer_would_block(e, r));
		return 0;
	}
	compare(block, e->peer_got, (size_t)r);
	e->peer_got += (uint64_t)r;
	return (size_t)r;
}

static void
writes(struct end *e, size_t bytes)
{
	static uint8_t block[BLOCK];

	fill(block, e->wrote, bytes);
	ck_assert_int_eq(stream_write(&e->st, block, bytes), 0);
	/* What the stream has not queued may be overwritten by its owner. */
	memset(block, 0xEE, bytes);
	e->wrote += bytes;
}

/* Everything that was written arrives, and then the loop is silent. */
static void
finish(struct end *e)
{
	stream_resume(&e->st);
	for (int i = 0; i < 100000 && (e->peer_got < e->wrote || e->got < e->peer_wrote); i++) {
		peer_reads(e, BLOCK);
		loop_turn(e->loop, false);
	}
	ck_assert_uint_eq(e->peer_got, e->wrote);
	ck_assert_uint_eq(e->got, e->peer_wrote);
	ck_assert_uint_eq(stream_queued(&e->st), 0);
	ck_assert_uint_eq(e->st.sent, e->wrote);
	ck_assert_uint_eq(e->st.received, e->got);
	ck_assert(!e->over);
	ck_assert_uint_le(turns(e), 3);
	ck_assert(!e->st.writes);
}

/* OpenSSL 3.0 cannot answer a request for new keys while a record of ours waits to be written: it
 * calls its own attempt a "bad length". So that is asked for only when nothing waits. */
static void
change_keys(struct end *e)
{
	bool answered = stream_queued(&e->st) == 0 && !e->st.paused;

	turns(e);
	SSL_key_update(e->peer, answered ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
	ck_assert(SSL_do_handshake(e->peer) == 1 || !answered);
	ERR_clear_error();
	turns(e);
}

/* ---- tests ---- */

/* Both sides write, read, stop and go on at random. */
START_TEST(random_exchange)
{
	struct end e;
	unsigned seed = (unsigned)_i / NVERSIONS + 1;
	int version = versions[_i % NVERSIONS];
	size_t held = 0; /* what SSL_write() of the other side must be called again with */

	make(&e, version);
	for (int i = 0; i < 4000; i++) {
		size_t some = 1 + (size_t)rand_r(&seed) % (rand_r(&seed) % 4 ? 3000 : BLOCK);

		switch (rand_r(&seed) % 8) {
		case 0:
		case 1:
			held = peer_writes(&e, held ? held : some) ? (held ? held : some) : 0;
			break;
		case 2:
		case 3:
			if (stream_queued(&e.st) + some <= QUEUE_MAX)
				writes(&e, some);
			break;
		case 4:
			peer_reads(&e, some);
			break;
		case 5:
			if (rand_r(&seed) % 2)
				stream_pause(&e.st);
			else
				stream_resume(&e.st);
			break;
		case 6:
			if (version == TLS1_3_VERSION && held == 0 && rand_r(&seed) % 8 == 0)
				change_keys(&e);
			break;
		default:
			/* Less than a record: the rest is read without a word from the socket. */
			e.most = rand_r(&seed) % 2 ? LOOP_SCRATCH : some;
			loop_turn(e.loop, false);
			break;
		}
		ck_assert(!e.over);
	}
	stream_resume(&e.st);
	for (int i = 0; i < 1000 && held; i++) {
		held = peer_writes(&e, held) ? held : 0;
		peer_reads(&e, BLOCK);
		loop_turn(e.loop, false);
	}
	ck_assert_uint_eq(held, 0);
	finish(&e);
	ck_assert_uint_gt(e.got, 100000);
	ck_assert_uint_gt(e.peer_got, 100000);
	ck_assert_uint_gt(e.drains, 0);
	end(&e);
}
END_TEST

/* TLS has decrypted bytes while libpq used the connection: the socket says nothing of them. */
START_TEST(decrypted_bytes_are_read)
{
	for (int paused = 0; paused < 2; paused++) {
		struct end e;
		uint8_t first;

		connect_ends(&e, versions[_i]);
		peer_writes(&e, 1000);
		ck_assert_int_eq(SSL_read(e.ssl, &first, 1), 1);
		compare(&first, 0, 1);
		e.got = e.st.received = 1;
		ck_assert_int_gt(SSL_pending(e.ssl), 0);
		stream_init(&e.st, e.loop, SSL_get_fd(e.ssl), QUEUE_MAX, &ops, &e);
		stream_set_ssl(&e.st, e.ssl);
		if (paused) {
			stream_pause(&e.st);
			ck_assert_uint_le(turns(&e), 2);
			ck_assert_uint_eq(e.got, 1);
			stream_resume(&e.st);
		}
		ck_assert_uint_le(turns(&e), 2);
		ck_assert_uint_eq(e.got, 1000);
		end(&e);
	}
}
END_TEST

/* Half a record: TLS has nothing to give yet. Another connection of this thread has left an error
 * in OpenSSL's queue (libpq does, when a handshake fails): it is not ours. */
START_TEST(errors_of_others_are_not_ours)
{
	for (int writing = 0; writing < 2; writing++) {
		struct end e;
		BIO *kept;
		uint8_t *record;
		long bytes;

		make(&e, versions[_i]);
		kept = BIO_new(BIO_s_mem());
		SSL_set0_wbio(e.peer, kept);
		peer_writes(&e, 3000);
		bytes = BIO_get_mem_data(kept, &record);
		ck_assert_int_gt((int)bytes, 3000);
		ck_assert_int_eq(write(e.peer_fd, record, 1000), 1000);
		ERR_raise(ERR_LIB_SSL, SSL_R_CERTIFICATE_VERIFY_FAILED);
		if (writing)
			while (stream_queued(&e.st) == 0)
				writes(&e, BLOCK);
		ck_assert(!e.st.broken);
		ERR_raise(ERR_LIB_SSL, SSL_R_CERTIFICATE_VERIFY_FAILED);
		ck_assert_uint_le(turns(&e), 2);
		ck_assert_msg(!e.over, "the stream has ended");
		ck_assert_uint_eq(e.got, 0);
		ck_assert_int_eq(write(e.peer_fd, record + 1000, (size_t)bytes - 1000),
				 bytes - 1000);
		turns(&e);
		ck_assert_uint_eq(e.got, 3000);
		finish(&e);
		end(&e);
	}
}
END_TEST

/* Said or not, in a pause or not, with output waiting or not: it is the end, after the bytes before
 * it. PostgreSQL does not say it when it dies. */
START_TEST(the_end)
{
	for (int how = 0; how < 8; how++) {
		bool said = how & 1, paused = how & 2, queued = how & 4;
		struct end e;

		make(&e, versions[_i]);
		peer_writes(&e, 700);
		while (queued && stream_queued(&e.st) == 0)
			writes(&e, BLOCK);
		if (paused)
			stream_pause(&e.st);
		if (said)
			SSL_shutdown(e.peer);
		hang_up(&e);
		ck_assert_uint_le(turns(&e), 5);
		if (paused) {
			ck_assert_uint_eq(e.got, 0);
			stream_resume(&e.st);
		}
		ck_assert_uint_le(turns(&e), 5);
		ck_assert_uint_eq(e.got, 700);
		ck_assert(e.over);
		/* Unread output makes the kernel say ECONNRESET. */
		ck_assert_msg(e.last == 0 || (queued && e.last == -E_IO), "case %d: %zd", how,
			      e.last);
		end(&e);
	}
}
END_TEST

/* Bytes that are no TLS. */
START_TEST(nonsense_is_an_error)
{
	struct end e;

	make(&e, versions[_i]);
	ck_assert_int_eq(write(e.peer_fd, "this is no record of TLS at all", 31), 31);
	turns(&e);
	ck_assert(e.over);
	ck_assert_int_eq(e.last, -E_IO);
	ck_assert_uint_eq(ERR_peek_error(), 0);
	end(&e);
}
END_TEST

/* A reader that takes little at a time gets all of it, in turns of the loop. */
START_TEST(little_at_a_time)
{
	struct end e;

	make(&e, versions[_i]);
	e.most = 100;
	peer_writes(&e, 1000);
	peer_writes(&e, 1000);
	for (unsigned i = 1; i <= 20; i++) {
		loop_turn(e.loop, false);
		ck_assert_uint_eq(e.got, i * 100);
	}
	/* The owner may close when bytes are left. */
	peer_writes(&e, 1000);
	loop_turn(e.loop, false);
	ck_assert_uint_eq(e.got, 2100);
	stream_close(&e.st);
	ck_assert_uint_eq(turns(&e), 0);
	end(&e);
}
END_TEST

START_TEST(a_pause_does_not_spin)
{
	struct end e;

	make(&e, versions[_i]);
	stream_pause(&e.st);
	for (int i = 0; i < 3; i++) {
		peer_writes(&e, 1000);
		ck_assert_uint_le(turns(&e), 2);
	}
	ck_assert_uint_eq(e.readables, 0);
	stream_resume(&e.st);
	turns(&e);
	finish(&e);
	ck_assert_uint_eq(e.got, 3000);
	end(&e);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("stream_tls");
	TCase *t = tcase_create("stream_tls");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, random_exchange, 0, 6 * NVERSIONS);
	tcase_add_loop_test(t, decrypted_bytes_are_read, 0, NVERSIONS);
	tcase_add_loop_test(t, errors_of_others_are_not_ours, 0, NVERSIONS);
	tcase_add_loop_test(t, the_end, 0, NVERSIONS);
	tcase_add_loop_test(t, nonsense_is_an_error, 0, NVERSIONS);
	tcase_add_loop_test(t, little_at_a_time, 0, NVERSIONS);
	tcase_add_loop_test(t, a_pause_does_not_spin, 0, NVERSIONS);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
