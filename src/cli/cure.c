#include "cli/cure.h"

#include <string.h>

#define CORRECT_PASSWORD                                                                      \
	"correct the password: of the conninfo, of the option password, or of the passfile, " \
	"whose "                                                                              \
	"first line that fits counts"

/* What may help, by the SQLSTATE, which does not depend on the server's language. If an SQLSTATE
 * has several meanings, the first line counts whose words are in the message; a line without words
 * stands for all other messages. */
static const struct {
	const char *sqlstate, *words, *cure;
} answers[] = {
    {"28000", "no pg_hba.conf entry",
     "add a line for this user, database and address to pg_hba.conf, and reload PostgreSQL"},
    {"28000", "pg_hba.conf rejects",
     "a line of pg_hba.conf with \"reject\" is for this user, database and address: put one that "
     "lets them in before it, and reload PostgreSQL"},
    {"28000", "not permitted to log in",
     "ALTER ROLE ... LOGIN, or name another user in the conninfo"},
    {"28000", "does not exist", "CREATE ROLE ... LOGIN, or correct the user of the conninfo"},
    {"28000", "eer authentication failed",
     "PostgreSQL's user must be named as the system user of pgwithd, or be mapped to it: a map= in "
     "pg_hba.conf and a line in pg_ident.conf"},
    {"28000", "dent authentication failed", "correct pg_ident.conf, or the line of pg_hba.conf"},
    {"28000", "ertificate", "check sslcert and sslkey, and that the certificate names the user"},
    {"28000", "",
     "PostgreSQL does not let this user in: look into pg_hba.conf, and whether the role exists and "
     "may LOGIN; PostgreSQL's log says which"},
    {"28P01", "", CORRECT_PASSWORD},
    {"3D000", "", "create the database (createdb), or correct dbname in the conninfo"},
    {"42501", "", "GRANT CONNECT ON DATABASE ... TO the role of the conninfo"},
    {"53300", "for role", "ALTER ROLE ... CONNECTION LIMIT, or lower the size of the pool"},
    {"53300", "for database", "ALTER DATABASE ... CONNECTION LIMIT, or lower the size of the pool"},
    {"53300", "",
     "raise max_connections of PostgreSQL, or lower the sizes of the pools; see who is connected "
     "in "
     "pg_stat_activity"},
    {"55000", "", "the database takes no connections: ALTER DATABASE ... ALLOW_CONNECTIONS true"},
    {"57P03", "",
     "wait until PostgreSQL has started (or see in its log why it has not); then look again"},
    {"57P01", "", "PostgreSQL is being stopped: start it again"},
    {"0A000", "", "the server does not speak this protocol, or not this option of the conninfo"},
    {"08P01", "", "look into PostgreSQL's log: it did not understand the login"},
    {"22023", "", "correct the options of the conninfo"},
    {"42704", "", "correct the options of the conninfo"},
};

/* The same for errors that libpq finds, which have no SQLSTATE, and for texts whose SQLSTATE is not
 * known (last_error of SHOW POOLS). */
static const struct {
	const char *words, *cure;
} failures[] = {
    {"password authentication failed", CORRECT_PASSWORD},
    {"password command",
     "run the command by hand as the user of pgwithd, and see what it says on stderr"},
    {"No such file or directory",
     "start PostgreSQL, or correct host and port of the conninfo: the socket is not there"},
    {"Connection refused",
     "start PostgreSQL, or correct host and port of the conninfo: nobody listens there"},
    {"Permission denied",
     "pgwithd's user may not use the socket: see the directory and unix_socket_permissions of "
     "PostgreSQL"},
    {"could not translate host name", "correct the host of the conninfo, or the name service"},
    {"no answer within", "look for a firewall or a wrong address: the host says nothing"},
    {"No route to host", "correct the host of the conninfo, or the network"},
    {"Network is unreachable", "correct the host of the conninfo, or the network"},
    {"requirepeer specifies", "correct requirepeer in the conninfo, or see who runs there"},
    {"no password supplied",
     "give the password by a passfile that the daemon's user can read (mode 600): a line "
     "HOST:PORT:DATABASE:USER:PASSWORD that fits"},
    {"server does not support SSL", "switch ssl on in PostgreSQL, or lower sslmode"},
    {"root certificate file",
     "put the certificate of the CA there, as sslrootcert names it, or lower sslmode"},
    {"private key file",
     "correct sslkey: a plain file, of root (mode 640) or of pgwithd's user (600)"},
    {"certificate verify failed",
     "sslrootcert is not the CA of the server's certificate: get the right one"},
    {"does not match host name",
     "name the host as the server's certificate does, or have a certificate with that name"},
    {"certificate", "check sslrootcert, sslcert, sslkey and the name in the server's certificate"},
    {"SSL error", "see sslmode, and the TLS versions of both sides"},
    {"session is read-only", "none of the hosts is what target_session_attrs wants"},
    {"session is not read-only", "none of the hosts is what target_session_attrs wants"},
    {"server is not in hot standby", "none of the hosts is what target_session_attrs wants"},
    {"server is in hot standby", "none of the hosts is what target_session_attrs wants"},
    {"definition of service",
     "correct service in the conninfo, or the service file (PGSERVICEFILE)"},
    {"server closed the connection",
     "look into PostgreSQL's log; or what listens there is no PostgreSQL"},
};

const char *
cure_of(const char *sqlstate, const char *message)
{
	for (unsigned i = 0; *sqlstate && i < sizeof answers / sizeof *answers; i++)
		if (strcmp(answers[i].sqlstate, sqlstate) == 0 && strstr(message, answers[i].words))
			return answers[i].cure;
	for (unsigned i = 0; i < sizeof failures / sizeof *failures; i++)
		if (strstr(message, failures[i].words))
			return failures[i].cure;
	return "check the conninfo, and that the server runs";
}
