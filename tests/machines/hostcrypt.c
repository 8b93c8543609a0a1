/*
 * crypt(3) for tests on libraries that have none: this host's, by a server that
 * machines.sh starts, as a confined process can start no program. Not for use:
 * the server is told all passwords.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <string.h>
#include <unistd.h>

#include "server.h"		/* its socket; machines.sh writes this */

char *crypt(const char *key, const char *setting);

static int
send_string(int fd, const char *s)
{
	size_t len = strlen(s) + 1;

	return write(fd, s, len) == (ssize_t)len;
}

char *
crypt(const char *key, const char *setting)
{
	static const struct sockaddr_un server = { .sun_family = AF_UNIX,
	    .sun_path = SERVER };
	static char hash[512];
	size_t len = 0;
	ssize_t n;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (fd == -1)
		return NULL;
	if (connect(fd, (const struct sockaddr *)&server,
	    sizeof(server)) == 0 && send_string(fd, key) &&
	    send_string(fd, setting))
		while (len < sizeof(hash) - 1 && (n = read(fd, hash + len,
		    sizeof(hash) - 1 - len)) > 0)
			len += (size_t)n;
	close(fd);
	hash[len] = '\0';
	return len > 0 ? hash : NULL;
}
