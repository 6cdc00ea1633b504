/* load: many Socket.IO clients in one thread, to measure a server on the loopback interface.
 *
 *     cc -O2 -o load load.c
 *     ./load --port 5000 --scenario echo --clients 100 --in-flight 16 --seconds 2
 *
 * It speaks Socket.IO 5 over Engine.IO 4, by WebSocket or by HTTP long polling, and expects a server with these events:
 *
 *     echo VALUE         acknowledged with VALUE
 *     bcast VALUE        sent on to every client, the sender included
 *     join ROOM          the client enters the room, acknowledged with anything
 *     room ROOM, VALUE   sent on to the clients in the room
 *
 * The load is closed: a client sends again when the answer is there, a broadcaster when everybody has the message. Every
 * message that arrives is compared with the one expected, and at the end all must have arrived. The first difference,
 * refusal or lost connection ends the run: figures of a server that loses messages mean nothing. The result is one line
 * of JSON on the standard output.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LARGEST_MESSAGE (1u << 20)      /* of what a server may send, in bytes */
#define CONNECTING_AT_ONCE 64           /* clients that are between the first byte and their readiness */
#define CONNECT_SECONDS 60              /* all clients must be there by then */
#define LAST_ANSWER_SECONDS 10          /* after the measurement, all messages on their way must arrive by then */

enum scenario { ECHO, BROADCAST, ROOMS, CONNECTS, IDLE };
static const char *const SCENARIOS[] = {"echo", "broadcast", "rooms", "connects", "idle"};

/* What a client waits for. A client that is LEAVING closes its connection once its event has been worked off. */
enum phase { OFFLINE, OPENING, ENTERING, JOINING, READY, LEAVING };

struct bytes {
    char *start;
    size_t length, capacity;
};

/* A TCP connection. It starts with HTTP; `framed` says that it has become a WebSocket. */
struct link {
    int socket; /* -1: not open */
    bool framed, wants_writing, awaits_response;
    struct bytes unread, unsent;
    struct client *client;
};

struct client {
    enum phase phase;
    struct group *group;
    struct link stream; /* the WebSocket, or the connection whose GET waits for packets */
    struct link post;   /* long polling only: the connection that carries packets to the server */
    struct bytes queue; /* long polling only: the body of the next POST */
    char sid[64];
    uint64_t *awaited;  /* echo: the acknowledgement that each message in flight waits for */
    uint64_t last_seen; /* broadcasts: the number of the last message that arrived */
};

/* Clients that receive the same broadcasts: all of them, or those of a room. The first one sends. */
struct group {
    struct client *sender;
    int number, size, missing;
    uint64_t sequence;
    char *ending; /* how the message on its way ends */
};

static enum scenario scenario = ECHO;
static bool polling;
static int port, client_count = 100, in_flight = 1, room_count = 50, payload = 32;
static double seconds = 2, warmup = 0.5;

static int epoll_instance, ready_count;
static bool stopping;
static long awaited_count; /* deliveries that are still to come */
static struct client *clients;
static struct group *groups;
static char *body; /* `payload` letters */
static size_t ending_length;
static uint64_t operations, deliveries;
static char scratch[1 << 17];

/* ---- the result ---- */

static double read_clock(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void report(double elapsed, double processor, const char *error) {
    printf("{\"operations\": %llu, \"deliveries\": %llu, \"seconds\": %.4f, \"load\": %.3f, \"error\": ",
           (unsigned long long)operations, (unsigned long long)deliveries, elapsed, processor / elapsed);
    printf(error ? "\"%s\"}\n" : "null}\n", error);
    fflush(stdout);
}

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...) {
    char reason[200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    for (char *letter = reason; *letter; letter++)
        if (*letter == '"' || *letter == '\\' || !isprint((unsigned char)*letter)) *letter = '\'';
    report(1, 0, reason);
    exit(1);
}

/* ---- bytes and connections ---- */

static void append(struct bytes *bytes, const void *data, size_t length) {
    if (bytes->length + length > bytes->capacity) {
        bytes->capacity = (bytes->length + length) * 2;
        bytes->start = realloc(bytes->start, bytes->capacity);
        if (!bytes->start) fail("out of memory");
    }
    if (length) memcpy(bytes->start + bytes->length, data, length);
    bytes->length += length;
}

static void drop_front(struct bytes *bytes, size_t length) {
    bytes->length -= length;
    if (bytes->length) memmove(bytes->start, bytes->start + length, bytes->length);
}

static void watch(struct link *link, int operation, bool writing) {
    struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0u), .data.ptr = link};
    epoll_ctl(epoll_instance, operation, link->socket, &event);
    link->wants_writing = writing;
}

static void open_link(struct link *link) {
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int on = 1;
    link->socket = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (link->socket < 0) fail("socket: %s", strerror(errno));
    setsockopt(link->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(link->socket, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS)
        fail("connect: %s", strerror(errno));
    link->framed = link->awaits_response = false;
    link->unread.length = link->unsent.length = 0;
    watch(link, EPOLL_CTL_ADD, false);
}

static void close_link(struct link *link) {
    if (link->socket >= 0) close(link->socket);
    link->socket = -1;
}

/* Send what waits; what the system does not take now (a connection not yet made takes nothing) leaves when it can. */
static void flush(struct link *link) {
    if (link->unsent.length) {
        ssize_t sent = send(link->socket, link->unsent.start, link->unsent.length, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) fail("send: %s", strerror(errno));
        if (sent > 0) drop_front(&link->unsent, (size_t)sent);
    }
    bool writing = link->unsent.length > 0;
    if (writing != link->wants_writing) watch(link, EPOLL_CTL_MOD, writing);
}

/* ---- from packets to bytes ---- */

static void add_frame(struct link *link, int opcode, const char *data, size_t length) {
    static uint32_t seed = 1;
    unsigned char head[8] = {(unsigned char)(0x80 | opcode), (unsigned char)(0x80 | (length < 126 ? length : 126))};
    size_t size = 2;
    if (length >= 126) {
        head[size++] = (unsigned char)(length >> 8);
        head[size++] = (unsigned char)length;
    }
    seed = seed * 1664525u + 1013904223u;
    char mask[4];
    memcpy(mask, &seed, 4);
    memcpy(head + size, mask, 4);
    append(&link->unsent, head, size + 4);
    append(&link->unsent, data, length);
    char *masked = link->unsent.start + link->unsent.length - length;
    for (size_t i = 0; i < length; i++) masked[i] ^= mask[i & 3];
}

static void request(struct client *client, struct link *link, const char *method, struct bytes *content) {
    char head[400];
    const char *sid = client->sid;
    if (link->socket < 0) open_link(link);
    int length = snprintf(head, sizeof head, "%s /socket.io/?EIO=4&transport=%s%s%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n", method,
                          polling ? "polling" : "websocket", *sid ? "&sid=" : "", sid, port);
    append(&link->unsent, head, (size_t)length);
    if (!polling)
        length = snprintf(head, sizeof head, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                             "Sec-WebSocket-Key: Y2FyYm95J3MgYmVuY2ggIQ==\r\n\r\n");
    else if (content)
        length = snprintf(head, sizeof head, "Content-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", content->length);
    else length = snprintf(head, sizeof head, "\r\n");
    append(&link->unsent, head, (size_t)length);
    if (content) append(&link->unsent, content->start, content->length);
    link->awaits_response = true;
    flush(link);
}

static void send_packet(struct client *client, const char *data, size_t length) {
    if (polling && client->queue.length) append(&client->queue, "\x1e", 1);
    if (polling) append(&client->queue, data, length);
    else add_frame(&client->stream, 1, data, length);
}

/* Bring on their way what send_packet() has collected; a polling client also asks for the next packets. */
static void proceed(struct client *client) {
    if (!polling) flush(&client->stream);
    else if (!client->stream.awaits_response) request(client, &client->stream, "GET", NULL);
    if (client->queue.length && !client->post.awaits_response) { /* a WebSocket has no queue */
        request(client, &client->post, "POST", &client->queue);
        client->queue.length = 0;
    }
}

/* ---- what the clients do ---- */

static void send_echo(struct client *client, uint64_t id) {
    if (stopping) return;
    awaited_count++;
    client->awaited[id % (uint64_t)in_flight] = id;
    int length = snprintf(scratch, sizeof scratch, "42%llu[\"echo\",\"%s\"]", (unsigned long long)id, body);
    send_packet(client, scratch, (size_t)length);
}

static void send_broadcast(struct group *group) {
    int length;
    if (stopping) return;
    awaited_count += group->missing = group->size;
    snprintf(group->ending, ending_length + 1, "\"%010llu%s\"]", (unsigned long long)++group->sequence, body);
    if (scenario == ROOMS)
        length = snprintf(scratch, sizeof scratch, "42[\"room\",\"room %d\",%s", group->number, group->ending);
    else
        length = snprintf(scratch, sizeof scratch, "42[\"bcast\",%s", group->ending);
    send_packet(group->sender, scratch, (size_t)length);
    proceed(group->sender);
}

static void on_echo(struct client *client, const char *data, size_t length) {
    char *value;
    uint64_t id = strtoull(data, &value, 10);
    size_t left = length - (size_t)(value - data), size = (size_t)payload;
    if (client->awaited[id % (uint64_t)in_flight] != id) fail("acknowledgement %llu was not awaited", (unsigned long long)id);
    if (left != size + 4 || memcmp(value, "[\"", 2) || memcmp(value + 2, body, size) || memcmp(value + 2 + size, "\"]", 2))
        fail("an echo came back changed: %.*s", (int)length, data);
    awaited_count--;
    operations += !stopping;
    deliveries += !stopping;
    /* The next of this one's line of ids: answers may come in any order. */
    send_echo(client, id + (uint64_t)in_flight);
}

static void on_broadcast(struct client *client, const char *data, size_t length) {
    struct group *group = client->group;
    if (length < ending_length || memcmp(data + length - ending_length, group->ending, ending_length))
        fail("not the message that was sent: %.*s", (int)length, data);
    if (client->last_seen == group->sequence) fail("a message arrived twice");
    client->last_seen = group->sequence;
    awaited_count--;
    deliveries += !stopping;
    if (--group->missing) return;
    operations += !stopping;
    send_broadcast(group);
}

static void on_ready(struct client *client) {
    client->phase = READY;
    ready_count++;
    if (scenario != CONNECTS) return;
    operations++;
    deliveries++;
    send_packet(client, "41", 2);
    client->phase = LEAVING;
}

static void on_entered(struct client *client) {
    if (scenario == ROOMS) {
        int length = snprintf(scratch, sizeof scratch, "420[\"join\",\"room %d\"]", client->group->number);
        send_packet(client, scratch, (size_t)length);
        client->phase = JOINING;
    } else on_ready(client);
}

static void on_opened(struct client *client, const char *data, size_t length) {
    const char *sid = memmem(data, length, "\"sid\":\"", 7);
    if (!sid) fail("no sid in the handshake: %.*s", (int)length, data);
    if (polling) sscanf(sid + 7, "%63[^\"]", client->sid);
    send_packet(client, "40", 2);
    client->phase = ENTERING;
}

/* An Engine.IO packet. The byte behind it is never a digit, so that numbers end. */
static void on_packet(struct client *client, const char *data, size_t length) {
    char type = length ? data[0] : 0, kind = type == '4' && length > 1 ? data[1] : 0;
    if (type == '0' && client->phase == OPENING) on_opened(client, data, length);
    else if (type == '2') send_packet(client, "3", 1);
    else if (kind == '0' && client->phase == ENTERING) on_entered(client);
    else if (kind == '3' && client->phase == JOINING) on_ready(client);
    else if (kind == '3' && scenario == ECHO) on_echo(client, data + 2, length - 2);
    else if (kind == '2' && client->group) on_broadcast(client, data + 2, length - 2);
    else if (type != '6') fail("unexpected packet: %.*s", (int)length, data);
}

/* ---- from bytes to packets ---- */

/* Both take one item off the front and return its size, or 0 when it is not there in full. */

static size_t take_frame(struct link *link, char *data, size_t available) {
    unsigned char *head = (unsigned char *)data;
    if (available < 2) return 0;
    size_t size = 2, length = head[1];
    if (length == 126) {
        if (available < 4) return 0;
        length = (size_t)head[2] << 8 | head[3];
        size = 4;
    } else if (length > 126) fail("a masked frame, or a very long one");
    if (available < size + length) return 0;
    int opcode = head[0] & 15;
    if (opcode == 8) fail("the server closed a connection");
    /* A frame's first byte is no digit either, so the packet before it ends where it should. */
    if (opcode == 9) add_frame(link, 10, data + size, length);
    else if (opcode == 1) on_packet(link->client, data + size, length);
    else fail("unexpected frame, opcode %d", opcode);
    return size + length;
}

static void on_payload(struct client *client, char *data, size_t length) {
    for (char *end = data + length; data < end;) {
        char *separator = memchr(data, '\x1e', (size_t)(end - data));
        char *next = separator ? separator : end;
        on_packet(client, data, (size_t)(next - data));
        data = next + 1;
    }
}

/* Join the chunks of a body; returns the size of the whole on the wire, or 0 when it is not there in full. */
static size_t join_chunks(char *data, size_t available, struct bytes *joined) {
    joined->length = 0;
    for (size_t at = 0;;) {
        char *line = memmem(data + at, available - at, "\r\n", 2);
        if (!line) return 0;
        size_t length = strtoull(data + at, NULL, 16);
        at = (size_t)(line + 2 - data);
        if (length > LARGEST_MESSAGE || available < at + length + 2) return 0;
        append(joined, data + at, length);
        at += length + 2;
        if (!length) return at;
    }
}

static size_t take_response(struct link *link, char *data, size_t available) {
    static struct bytes joined;
    struct client *client = link->client;
    char *end = memmem(data, available, "\r\n\r\n", 4);
    if (!end) return 0;
    *end = 0; /* for strcasestr; undone below, because the response may have to be read again */
    if (strncmp(data + 8, polling ? " 200" : " 101", 4)) fail("refused: %.60s", data);
    char *length_field = strcasestr(data, "\r\nContent-Length:");
    bool chunked = strcasestr(data, "\r\nTransfer-Encoding: chunked") != NULL;
    bool closing = strcasestr(data, "\r\nConnection: close") != NULL;
    size_t length = length_field ? strtoull(length_field + 17, NULL, 10) : 0, head = (size_t)(end + 4 - data), size = length;
    *end = '\r';
    if (!polling) {
        link->framed = true;
        return head;
    }
    if (chunked && !(size = join_chunks(data + head, available - head, &joined))) return 0;
    if (available < head + size) return 0;
    link->awaits_response = false;
    if (closing) close_link(link);
    if (link == &client->stream) {
        if (chunked) append(&joined, "", 1); /* a byte behind the last packet */
        on_payload(client, chunked ? joined.start : data + head, chunked ? joined.length - 1 : length);
    }
    return head + size;
}

static void start_client(struct client *client) {
    client->phase = OPENING;
    client->sid[0] = 0;
    request(client, &client->stream, "GET", NULL);
}

static void on_readable(struct link *link) {
    static char incoming[LARGEST_MESSAGE + 1]; /* all links share it: only the rest of an unfinished item is kept */
    struct client *client = link->client;
    size_t kept = link->unread.length;
    memcpy(incoming, link->unread.start ? link->unread.start : "", kept);
    ssize_t received = recv(link->socket, incoming + kept, LARGEST_MESSAGE - kept, 0);
    if (received < 0 && errno == EAGAIN) return;
    if (received == 0 && polling && !link->awaits_response) {
        close_link(link); /* an idle connection of HTTP, opened anew when needed */
        return;
    }
    if (received <= 0) fail("a connection was lost%s%s", received ? ": " : "", received ? strerror(errno) : "");
    size_t available = kept + (size_t)received, done = 0, taken;
    incoming[available] = 0;
    do {
        taken = link->framed ? take_frame(link, incoming + done, available - done)
                             : take_response(link, incoming + done, available - done);
        done += taken;
    } while (taken && done < available && client->phase != LEAVING);
    link->unread.length = 0;
    append(&link->unread, incoming + done, available - done);
    proceed(client);
    if (client->phase == LEAVING) {
        close_link(link);
        start_client(client);
    }
}

/* ---- the run ---- */

static void turn(void) {
    struct epoll_event events[256];
    int count = epoll_wait(epoll_instance, events, 256, 20);
    for (int i = 0; i < count; i++) {
        struct link *link = events[i].data.ptr;
        if (link->socket >= 0 && events[i].events & EPOLLOUT) flush(link);
        if (link->socket >= 0 && events[i].events & ~(uint32_t)EPOLLOUT) on_readable(link);
    }
}

static void run_for(double duration) {
    for (double end = read_clock(CLOCK_MONOTONIC) + duration; read_clock(CLOCK_MONOTONIC) < end;) turn();
}

static void await_the_last(void) {
    stopping = true;
    for (double end = read_clock(CLOCK_MONOTONIC) + LAST_ANSWER_SECONDS; awaited_count;) {
        turn();
        if (read_clock(CLOCK_MONOTONIC) > end) fail("%ld messages were lost", awaited_count);
    }
}

static void make_clients(void) {
    int group_count = scenario == ROOMS ? room_count : 1;
    clients = calloc((size_t)client_count, sizeof *clients);
    groups = calloc((size_t)group_count, sizeof *groups);
    body = calloc((size_t)payload + 1, 1);
    ending_length = (size_t)payload + 13; /* a quoted string of ten digits and the body, and the bracket */
    if (!clients || !groups || !body) fail("out of memory");
    for (int i = 0; i < payload; i++) body[i] = (char)('a' + i % 26);
    for (int i = 0; i < client_count; i++) {
        struct client *client = &clients[i];
        struct group *group = &groups[i % group_count];
        client->stream.socket = client->post.socket = -1;
        client->stream.client = client->post.client = client;
        client->awaited = calloc((size_t)in_flight, sizeof *client->awaited);
        if (!group->size++)
            *group = (struct group){.sender = client, .number = i, .size = 1, .ending = calloc(ending_length + 1, 1)};
        if (scenario == BROADCAST || scenario == ROOMS) client->group = group;
    }
}

static void connect_clients(void) {
    double deadline = read_clock(CLOCK_MONOTONIC) + CONNECT_SECONDS;
    for (int started = 0; ready_count < client_count;) {
        while (started < client_count && started - ready_count < CONNECTING_AT_ONCE) start_client(&clients[started++]);
        turn();
        if (read_clock(CLOCK_MONOTONIC) > deadline)
            fail("%d of %d clients were connected after %d s", ready_count, client_count, CONNECT_SECONDS);
    }
}

static void start_traffic(void) {
    for (int i = 0; i < client_count && scenario == ECHO; i++) {
        for (int id = 0; id < in_flight; id++) send_echo(&clients[i], (uint64_t)id);
        proceed(&clients[i]);
    }
    for (int i = 0; i < client_count; i++)
        if (clients[i].group && clients[i].group->sender == &clients[i]) send_broadcast(clients[i].group);
}

static void read_options(int count, char **values) {
    static const struct option known[] = {
        {"port", 1, 0, 'p'},  {"scenario", 1, 0, 's'}, {"transport", 1, 0, 't'}, {"clients", 1, 0, 'c'}, {"in-flight", 1, 0, 'f'},
        {"rooms", 1, 0, 'r'}, {"payload", 1, 0, 'b'},  {"seconds", 1, 0, 'd'},   {"warmup", 1, 0, 'w'},  {0}};
    for (int option; (option = getopt_long(count, values, "", known, NULL)) != -1;) {
        if (option == 'p') port = atoi(optarg);
        else if (option == 'c') client_count = atoi(optarg);
        else if (option == 'f') in_flight = atoi(optarg);
        else if (option == 'r') room_count = atoi(optarg);
        else if (option == 'b') payload = atoi(optarg);
        else if (option == 'd') seconds = atof(optarg);
        else if (option == 'w') warmup = atof(optarg);
        else if (option == 't') polling = !strcmp(optarg, "polling");
        else if (option == 's') {
            for (scenario = ECHO; scenario < IDLE && strcmp(optarg, SCENARIOS[scenario]); scenario++) continue;
            if (strcmp(optarg, SCENARIOS[scenario])) fail("no such scenario: %s", optarg);
        } else fail("see the head of load.c for the options");
    }
    if (port < 1 || port > 65535 || client_count < 1 || in_flight < 1 || room_count < 1 || payload < 1 || payload > 60000)
        fail("--port is missing, or a number is out of range");
    if (scenario == ROOMS && room_count > client_count) fail("more rooms than clients");
    if (scenario == CONNECTS && polling) fail("connects are measured over WebSocket");
}

int main(int count, char **values) {
    struct rlimit files;
    read_options(count, values);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll_instance = epoll_create1(0);
    make_clients();
    for (int i = 0; i < client_count && scenario == CONNECTS; i++) start_client(&clients[i]);
    if (scenario != CONNECTS) connect_clients();
    if (scenario == IDLE) {
        puts("connected"); /* whoever measures the memory waits for this line */
        fflush(stdout);
    }
    start_traffic();
    run_for(warmup);
    operations = deliveries = 0;
    double started = read_clock(CLOCK_MONOTONIC), processor = read_clock(CLOCK_PROCESS_CPUTIME_ID);
    run_for(seconds);
    double elapsed = read_clock(CLOCK_MONOTONIC) - started;
    processor = read_clock(CLOCK_PROCESS_CPUTIME_ID) - processor;
    await_the_last();
    report(elapsed, processor, NULL);
    return 0;
}
