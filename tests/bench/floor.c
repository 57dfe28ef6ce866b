/* The floor: the least that any epoll server can do for a chat room, and nothing else.
 *
 * It accepts, answers the handshake, unmasks, wraps each text in the very bytes that roomd sends, appends the frames of a
 * turn to one buffer, and writes that buffer to every client with one send(), which is cheaper than write() on a socket.
 * No limits, no checks, no timers, no names but a number, no answer to anything that is wrong. What roomd costs beyond
 * this is what roomd adds.
 *
 *   gcc -O2 -o floor floor.c -lcrypto   (OpenSSL for SHA-1 and base64 only)
 *   ./floor [echo]                      prints "listening on http://127.0.0.1:PORT/" and serves until it is killed
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { MAX_CLIENTS = 1 << 16, READ_BYTES = 64 * 1024, EVENTS = 1024 };

/* Per client: what it owes us of an unfinished frame, and what we owe it of unwritten bytes. Both are empty as a rule. */
struct client {
	int open;
	unsigned number;
	uint32_t rest_len, owed_len;
	unsigned char *rest, *owed;
};

static struct client clients[MAX_CLIENTS]; /* by descriptor */
static int audience[MAX_CLIENTS];
static unsigned audience_len, tourists;
static unsigned char *turn; /* the frames of this turn */
static size_t turn_len, turn_cap;
static unsigned char scratch[READ_BYTES + 1024];
/* As long as the ids of a room of roomd's that lives in memory, so that both send the same bytes. */
static uint64_t last_id = 1763817427123456;
static int is_echo;

static void owe(struct client *c, const unsigned char *bytes, size_t len)
{
	c->owed = realloc(c->owed, c->owed_len + len);
	memcpy(c->owed + c->owed_len, bytes, len);
	c->owed_len += len;
}

static void leave(int fd)
{
	struct client *c = &clients[fd];
	for (unsigned i = 0; i < audience_len; i++)
		if (audience[i] == fd) {
			audience[i] = audience[--audience_len];
			break;
		}
	free(c->rest);
	free(c->owed);
	memset(c, 0, sizeof *c);
	close(fd);
}

static void send_to(int fd, const unsigned char *bytes, size_t len)
{
	struct client *c = &clients[fd];
	if (c->owed_len) {
		owe(c, bytes, len);
		return;
	}
	ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
	if (n < 0)
		n = 0; /* full, or broken: the read will find out */
	if ((size_t)n < len)
		owe(c, bytes + n, len - n);
}

static unsigned char *reserve(size_t more)
{
	if (turn_len + more > turn_cap) {
		turn_cap = (turn_len + more) * 2;
		turn = realloc(turn, turn_cap);
	}
	return turn + turn_len;
}

static size_t put_header(unsigned char *out, int opcode, size_t len)
{
	out[0] = 0x80 | opcode;
	if (len < 126) {
		out[1] = len;
		return 2;
	}
	if (len < 65536) {
		out[1] = 126;
		out[2] = len >> 8;
		out[3] = len;
		return 4;
	}
	out[1] = 127;
	for (int i = 0; i < 8; i++)
		out[2 + i] = (uint64_t)len >> (56 - 8 * i);
	return 10;
}

static void say(struct client *c, const unsigned char *text, size_t len, uint64_t now_ms)
{
	char head[160];
	int n = snprintf(head, sizeof head,
			 "{\"type\":\"message\",\"id\":%llu,\"time\":%llu,\"room\":\"lobby\",\"name\":\"Tourist %u\",\"mess\":\"",
			 (unsigned long long)++last_id, (unsigned long long)now_ms, c->number);
	unsigned char *out = reserve(10 + n + len + 2);
	size_t at = put_header(out, 1, n + len + 2);
	memcpy(out + at, head, n);
	memcpy(out + at + n, text, len); /* the load generator's texts need no escapes */
	memcpy(out + at + n + len, "\"}", 2);
	turn_len += at + n + len + 2;
}

static void shake_hands(int fd, struct client *c, unsigned char *bytes, size_t len)
{
	bytes[len] = 0;
	char *key = strcasestr((char *)bytes, "sec-websocket-key:");
	if (!key || !strstr((char *)bytes, "\r\n\r\n"))
		return; /* a head in two pieces is more than the floor does */
	key += 18;
	while (*key == ' ')
		key++;
	char joined[80], answer[256];
	unsigned char hash[20], accept[32];
	memcpy(joined, key, 24);
	memcpy(joined + 24, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
	SHA1((unsigned char *)joined, 60, hash);
	EVP_EncodeBlock(accept, hash, 20);
	int n = snprintf(answer, sizeof answer,
			 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
			 "Sec-WebSocket-Accept: %s\r\n\r\n",
			 accept);
	c->open = 1;
	c->number = ++tourists;
	audience[audience_len++] = fd;
	send_to(fd, (unsigned char *)answer, n);
}

/* Takes whole frames off the front; says how many bytes it took. */
static size_t take_frames(int fd, struct client *c, unsigned char *p, size_t len, uint64_t now_ms)
{
	size_t done = 0;
	while (len - done >= 6) {
		unsigned char *f = p + done;
		size_t n = f[1] & 0x7f, at = 2;
		if (n == 126) {
			n = f[2] << 8 | f[3];
			at = 4;
		} else if (n == 127) {
			n = 0;
			for (int i = 0; i < 8; i++)
				n = n << 8 | f[2 + i];
			at = 10;
		}
		if (len - done < at + 4 + n)
			break;
		unsigned char *key = f + at, *text = key + 4;
		for (size_t i = 0; i < n; i++)
			text[i] ^= key[i & 3];
		int opcode = f[0] & 15;
		if (opcode == 8) {
			leave(fd);
			return len;
		}
		if (opcode == 1 && is_echo) {
			unsigned char *out = reserve(10 + n);
			size_t h = put_header(out, 1, n);
			memcpy(out + h, text, n);
			turn_len += h + n;
		} else if (opcode == 1)
			say(c, text, n, now_ms);
		done += at + 4 + n;
	}
	return done;
}

static void on_readable(int fd, uint64_t now_ms)
{
	struct client *c = &clients[fd];
	size_t kept = c->rest_len;
	if (kept > 1024)
		exit(3); /* the floor is for short messages */
	memcpy(scratch, c->rest, kept);
	ssize_t n = recv(fd, scratch + kept, READ_BYTES, 0);
	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		leave(fd);
		return;
	}
	if (n < 0)
		return;
	if (!c->open) {
		shake_hands(fd, c, scratch, n);
		return;
	}
	size_t len = kept + n, took = take_frames(fd, c, scratch, len, now_ms);
	c->rest_len = 0;
	if (took < len) {
		c->rest_len = len - took;
		c->rest = realloc(c->rest, c->rest_len);
		memcpy(c->rest, scratch + took, c->rest_len);
	}
	if (is_echo && turn_len) {
		send_to(fd, turn, turn_len);
		turn_len = 0;
	}
}

static void on_writable(int fd)
{
	struct client *c = &clients[fd];
	if (!c->owed_len)
		return;
	ssize_t n = send(fd, c->owed, c->owed_len, MSG_NOSIGNAL);
	if (n <= 0)
		return;
	c->owed_len -= n;
	memmove(c->owed, c->owed + n, c->owed_len);
	if (!c->owed_len) {
		free(c->owed);
		c->owed = NULL;
	}
}

int main(int argc, char **argv)
{
	is_echo = argc > 1 && !strcmp(argv[1], "echo");
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);

	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 4096))
		return 1;
	getsockname(listener, (struct sockaddr *)&address, &size);
	fprintf(stderr, "listening on http://127.0.0.1:%d/\n", ntohs(address.sin_port));

	int poll = epoll_create1(0);
	struct epoll_event events[EVENTS], event = {.events = EPOLLIN, .data.fd = listener};
	epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		int ready = epoll_wait(poll, events, EVENTS, -1);
		struct timeval now;
		gettimeofday(&now, NULL);
		uint64_t now_ms = now.tv_sec * 1000ull + now.tv_usec / 1000;
		for (int i = 0; i < ready; i++) {
			int fd = events[i].data.fd;
			if (fd == listener) {
				int client;
				while ((client = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
					if (client >= MAX_CLIENTS)
						return 4;
					event.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP;
					event.data.fd = client;
					epoll_ctl(poll, EPOLL_CTL_ADD, client, &event);
				}
				continue;
			}
			if (events[i].events & EPOLLOUT)
				on_writable(fd);
			if (events[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP))
				on_readable(fd, now_ms);
		}
		if (turn_len) {
			for (unsigned i = 0; i < audience_len; i++)
				send_to(audience[i], turn, turn_len);
			turn_len = 0;
		}
	}
}
