/* Sends one HTTP request again and again over N connections and prints what came back, as JSON.
 *
 *     load PORT REQUEST CONNECTIONS SECONDS [RATE [EXPECTED]]
 *
 * REQUEST is a file with the bytes of one HTTP/1.1 request. Without RATE, or with 0, the loop is closed: each
 * connection sends its next request when it has its answer. With it the loop is open: so many requests a second are due
 * at fixed times, whatever the server does, and a request's latency counts from when it was due, so that a server that
 * stalls cannot hide it. EXPECTED is a file with the body that every answer must have.
 *
 * Requests that wait when the time is over are waited for, and belong to the time that is divided by.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000ull
#define TIMEOUT (30 * SECOND)
#define REST (10 * SECOND / 1000) /* what a connection waits after it failed, lest a dead server be hammered */
#define LOOK (SECOND / 10)        /* how often connections are looked at for their timeouts */
#define CHUNKED (-1)
#define UNTIL_CLOSE (-2)

enum state { IDLE, CONNECTING, SENDING, READING, RESTING };
enum fault { REFUSED, CLOSED, RESET, TIMED_OUT, MALFORMED, DIFFERENT, FAULTS };
static const char *const fault_names[FAULTS] = {"refused", "closed", "reset", "timeout", "malformed", "different"};

struct bytes {
    char *data;
    size_t size;
};

struct connection {
    enum state state;
    int socket;
    size_t sent;
    uint64_t started; /* when the request was due; of a resting connection, when it may go on */
    char *buffer;
    size_t room, filled, head;
    int status;
    ssize_t length; /* of the body */
    bool closes;
};

static struct bytes request, expected;
static struct sockaddr_in server;
static struct connection *connections;
static int *idle, idle_count, resting_count, poller;
static uint64_t faults[FAULTS], statuses[600], answered, good, connects, issued, last_answer;
static uint32_t *latencies;
static size_t latency_room;

static void give_up(const char *what) {
    perror(what);
    exit(1);
}

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

static struct bytes read_file(const char *path) {
    struct bytes content = {NULL, 0};
    FILE *file = fopen(path, "rb");
    if (!file) give_up(path);
    fseek(file, 0, SEEK_END);
    content.size = (size_t)ftell(file);
    rewind(file);
    content.data = malloc(content.size + 1);
    if (!content.data || fread(content.data, 1, content.size, file) != content.size) give_up(path);
    fclose(file);
    return content;
}

static void watch(struct connection *each, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = each};
    if (epoll_ctl(poller, operation, each->socket, &event)) give_up("epoll_ctl");
}

static void set_idle(struct connection *each) {
    each->state = IDLE;
    idle[idle_count++] = (int)(each - connections);
}

static void hang_up(struct connection *each) {
    if (each->socket >= 0) close(each->socket);
    each->socket = -1;
}

static void fail(struct connection *each, enum fault fault) {
    faults[fault]++;
    hang_up(each);
    each->state = RESTING;
    each->started = now() + REST;
    resting_count++;
}

static void send_rest(struct connection *each) {
    while (each->sent < request.size) {
        ssize_t count = send(each->socket, request.data + each->sent, request.size - each->sent, MSG_NOSIGNAL);
        if (count < 0 && errno == EAGAIN) {
            if (each->state != SENDING) watch(each, EPOLL_CTL_MOD, EPOLLOUT);
            each->state = SENDING;
            return;
        }
        if (count < 0) {
            fail(each, RESET);
            return;
        }
        each->sent += (size_t)count;
    }
    if (each->state != READING) watch(each, EPOLL_CTL_MOD, EPOLLIN);
    each->state = READING;
}

static void begin(struct connection *each, uint64_t due) {
    issued++;
    each->started = due;
    each->sent = each->filled = each->head = 0;
    if (each->socket >= 0) {
        each->state = READING; /* which is what the poller waits for already */
        send_rest(each);
        return;
    }
    int one = 1;
    each->socket = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (each->socket < 0) give_up("socket");
    setsockopt(each->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    connects++;
    if (connect(each->socket, (struct sockaddr *)&server, sizeof server) && errno != EINPROGRESS) {
        fail(each, REFUSED);
        return;
    }
    each->state = CONNECTING;
    watch(each, EPOLL_CTL_ADD, EPOLLOUT);
}

static void record(struct connection *each) {
    last_answer = now();
    if (answered == latency_room) {
        latency_room = latency_room ? 2 * latency_room : 1 << 16;
        latencies = realloc(latencies, latency_room * sizeof *latencies);
        if (!latencies) give_up("realloc");
    }
    latencies[answered++] = (uint32_t)((last_answer - each->started) / 100); /* tenths of a microsecond */
}

static void finish(struct connection *each, const char *body, size_t size) {
    record(each);
    statuses[each->status]++;
    if (each->status / 100 == 2) {
        bool differs = expected.data && (size != expected.size || memcmp(body, expected.data, size));
        if (differs)
            faults[DIFFERENT]++;
        else
            good++;
    }
    if (each->closes) hang_up(each);
    set_idle(each);
}

static bool read_head(struct connection *each) {
    char *end = memmem(each->buffer, each->filled, "\r\n\r\n", 4);
    if (!end) return false;
    each->head = (size_t)(end - each->buffer) + 4;
    end[2] = '\0';
    each->status = each->head > 12 ? atoi(each->buffer + 9) : 0;
    if (memcmp(each->buffer, "HTTP/1.", 7) || each->status < 100 || each->status >= 600) {
        fail(each, MALFORMED);
        return false;
    }
    each->closes = each->buffer[7] == '0';
    each->length = UNTIL_CLOSE;
    for (char *line = strstr(each->buffer, "\r\n"); line && line[2]; line = strstr(line + 2, "\r\n")) {
        const char *name = line + 2;
        if (!strncasecmp(name, "content-length:", 15)) each->length = atol(name + 15);
        if (!strncasecmp(name, "transfer-encoding: chunked", 26)) each->length = CHUNKED;
        if (!strncasecmp(name, "connection: close", 17)) each->closes = true;
        if (!strncasecmp(name, "connection: keep-alive", 22)) each->closes = false;
    }
    return true;
}

/* Joins the chunks of a body where they lie; false while some are missing. */
static bool read_chunks(struct connection *each) {
    struct bytes body = {malloc(each->filled), 0};
    char *at = each->buffer + each->head, *end = each->buffer + each->filled, *after;
    bool is_whole = false;
    while (!is_whole && (after = memmem(at, (size_t)(end - at), "\r\n", 2))) {
        size_t size = strtoul(at, NULL, 16);
        if ((size_t)(end - after) < size + 4) break;
        memcpy(body.data + body.size, after + 2, size);
        body.size += size;
        at = after + size + 4;
        is_whole = size == 0;
    }
    if (is_whole) finish(each, body.data, body.size);
    free(body.data);
    return is_whole;
}

static void read_answer(struct connection *each) {
    while (each->state == READING) {
        if (each->filled + 1 >= each->room) {
            each->room = each->room ? 2 * each->room : 1 << 14;
            each->buffer = realloc(each->buffer, each->room);
            if (!each->buffer) give_up("realloc");
        }
        ssize_t count = recv(each->socket, each->buffer + each->filled, each->room - each->filled - 1, 0);
        if (count < 0 && errno == EAGAIN) return;
        if (count <= 0) {
            bool is_end = count == 0 && each->head && each->length == UNTIL_CLOSE;
            if (!is_end) {
                fail(each, count ? RESET : CLOSED);
                return;
            }
            each->closes = true;
            finish(each, each->buffer + each->head, each->filled - each->head);
            return;
        }
        each->filled += (size_t)count;
        each->buffer[each->filled] = '\0';
        if (!each->head && !read_head(each)) continue;
        size_t body = each->filled - each->head;
        if (each->length == CHUNKED)
            read_chunks(each);
        else if (each->length >= 0 && body > (size_t)each->length)
            fail(each, MALFORMED);
        else if (each->length >= 0 && body == (size_t)each->length)
            finish(each, each->buffer + each->head, body);
        if (each->state == READING && each->filled + 1 < each->room) return; /* the poller tells when there is more */
    }
}

static void handle(struct connection *each, uint32_t events) {
    if (each->state == CONNECTING) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(each->socket, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error)
            fail(each, REFUSED);
        else
            send_rest(each);
    } else if (each->state == SENDING) {
        send_rest(each);
    } else if (each->state == READING) {
        read_answer(each);
    } else if (each->state == IDLE && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        hang_up(each); /* closed between two requests, as a server may; the next one connects anew */
    }
}

static void look_at_times(int count, uint64_t moment) {
    for (int index = 0; index < count; index++) {
        struct connection *each = connections + index;
        if (each->state == RESTING && moment >= each->started) {
            resting_count--;
            set_idle(each);
        } else if (each->state != IDLE && each->state != RESTING && moment > each->started + TIMEOUT) {
            fail(each, TIMED_OUT);
        }
    }
}

static int compare(const void *left, const void *right) {
    uint32_t one = *(const uint32_t *)left, other = *(const uint32_t *)right;
    return (one > other) - (one < other);
}

static double percentile(double share) {
    return answered ? latencies[(size_t)(share * (double)(answered - 1) + 0.5)] / 10.0 : 0;
}

static void print_result(double seconds, double busy) {
    qsort(latencies, answered, sizeof *latencies, compare);
    printf("{\"sent\": %lu, \"answered\": %lu, \"good\": %lu, \"connects\": %lu, \"seconds\": %.6f, \"busy\": %.4f",
           issued, answered, good, connects, seconds, busy);
    const double shares[] = {0.5, 0.9, 0.99, 0.999, 1};
    const char *const names[] = {"p50", "p90", "p99", "p999", "max"};
    for (int index = 0; index < 5; index++) printf(", \"%s_us\": %.1f", names[index], percentile(shares[index]));
    printf(", \"errors\": {");
    const char *comma = "";
    for (int fault = 0; fault < FAULTS; fault++)
        if (faults[fault]) printf("%s\"%s\": %lu", comma, fault_names[fault], faults[fault]), comma = ", ";
    for (int status = 0; status < 600; status++)
        if (statuses[status] && status / 100 != 2)
            printf("%s\"status %d\": %lu", comma, status, statuses[status]), comma = ", ";
    printf("}}\n");
}

static double cpu_seconds(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* Sends until `end`, then waits for what is still on its way. */
static void run(int count, uint64_t start, uint64_t end, double rate) {
    struct epoll_event events[256];
    uint64_t looked = start;
    while (true) {
        uint64_t moment = now(), wait = LOOK;
        if (moment - looked >= LOOK || resting_count) {
            looked = moment;
            look_at_times(count, moment);
        }
        while (idle_count && rate == 0 && moment < end) begin(connections + idle[--idle_count], now());
        if (rate > 0) {
            uint64_t due;
            while ((due = start + (uint64_t)((double)issued * 1e9 / rate)) <= moment && due < end && idle_count)
                begin(connections + idle[--idle_count], due);
            if (due > moment && due - moment < wait) wait = due - moment;
        }
        if (moment >= end && idle_count + resting_count == count) return;
        if (resting_count && wait > REST) wait = REST;
        struct timespec timeout = {.tv_sec = 0, .tv_nsec = (long)wait};
        int ready = epoll_pwait2(poller, events, 256, &timeout, NULL);
        for (int index = 0; index < ready; index++) handle(events[index].data.ptr, events[index].events);
    }
}

int main(int argument_count, char **arguments) {
    if (argument_count < 5) {
        fprintf(stderr, "load PORT REQUEST CONNECTIONS SECONDS [RATE [EXPECTED]]\n");
        return 2;
    }
    server.sin_family = AF_INET;
    server.sin_port = htons((uint16_t)atoi(arguments[1]));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    request = read_file(arguments[2]);
    int count = atoi(arguments[3]);
    double rate = argument_count > 5 ? atof(arguments[5]) : 0;
    if (argument_count > 6) expected = read_file(arguments[6]);
    signal(SIGPIPE, SIG_IGN);
    poller = epoll_create1(0);
    connections = calloc((size_t)count, sizeof *connections);
    idle = calloc((size_t)count, sizeof *idle);
    if (poller < 0 || !connections || !idle) give_up("start");
    for (int index = 0; index < count; index++) {
        connections[index].socket = -1;
        set_idle(connections + index);
    }
    double before = cpu_seconds();
    uint64_t start = last_answer = now();
    run(count, start, start + (uint64_t)(atof(arguments[4]) * 1e9), rate);
    double wall = (double)(now() - start) / 1e9;
    print_result((double)(last_answer - start) / 1e9, (cpu_seconds() - before) / wall);
    return 0;
}
