/* The least that answers HTTP: one thread, epoll, an answer that was made before. `echo PORT LENGTH`.
 *
 * Takes requests that come whole or in parts, one after the other on a connection, with a Content-Length header written
 * exactly so; LENGTH is how long the answer's body is. Shows how much the load generator can drive.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM (1 << 16)

struct client {
    int socket;
    size_t filled;
    char buffer[ROOM];
};

static char answer[ROOM];
static size_t answer_size;

/* Answers the request in the buffer if it is whole; returns whether the client stays. */
static int serve(struct client *client) {
    ssize_t count = recv(client->socket, client->buffer + client->filled, ROOM - 1 - client->filled, 0);
    if (count <= 0) return 0;
    client->filled += (size_t)count;
    client->buffer[client->filled] = '\0';
    char *end = memmem(client->buffer, client->filled, "\r\n\r\n", 4);
    char *length = strstr(client->buffer, "Content-Length: ");
    if (!end || !length) return client->filled < ROOM - 1;
    size_t whole = (size_t)(end + 4 - client->buffer) + (size_t)atol(length + 16);
    if (client->filled < whole) return whole < ROOM - 1;
    client->filled = 0;
    return send(client->socket, answer, answer_size, MSG_NOSIGNAL) == (ssize_t)answer_size;
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    int length = atoi(arguments[2]), one = 1, listener = socket(AF_INET, SOCK_STREAM, 0), poller = epoll_create1(0);
    const char *head = "HTTP/1.1 200 OK\r\ncontent-length: %d\r\ncontent-type: application/json\r\n\r\n";
    answer_size = (size_t)snprintf(answer, ROOM, head, length);
    memset(answer + answer_size, '1', (size_t)length);
    answer_size += (size_t)length;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(arguments[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1024)) return 1;
    struct epoll_event events[256], event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    while (1) {
        int ready = epoll_wait(poller, events, 256, -1);
        for (int index = 0; index < ready; index++) {
            struct client *client = events[index].data.ptr;
            if (!client) {
                client = calloc(1, sizeof *client);
                client->socket = accept(listener, NULL, NULL);
                setsockopt(client->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                event.data.ptr = client;
                epoll_ctl(poller, EPOLL_CTL_ADD, client->socket, &event);
            } else if (!serve(client)) {
                close(client->socket);
                free(client);
            }
        }
    }
}
