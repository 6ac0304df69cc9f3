/* server.h - an HTTP server on loopback for tests, in a thread of the test: it serves one file and can misbehave in the ways that networks do.
 * One connection at a time, one request per connection. */
#ifndef TLVK_TEST_SERVER_H
#define TLVK_TEST_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define SERVER_MAX_REQUESTS 64

typedef struct test_server {
    /* what it serves, and how it misbehaves: set before the request, by the test */
    const void *body;
    size_t size;
    const char *etag;        /* with its quotes; NULL: none */
    const void *next_body;   /* served after the first request, with next_etag; NULL: the same */
    size_t next_size;
    const char *next_etag;
    int cuts;                /* so many requests end after cut_at bytes of the body */
    size_t cut_at;
    int stalls;              /* so many requests stand still after half of the body */
    int status;              /* answered instead, to the first status_count requests; 0: none */
    int status_count;
    bool no_range, no_length, wrong_start, redirect, loop;
    int slow_ms;             /* before the body */

    int port;
    char url[64];
    int listening;
    pthread_t thread;
    atomic_bool stop;
    atomic_int requests;
    atomic_llong body_bytes; /* sent in all */
    char range[SERVER_MAX_REQUESTS][64], if_range[SERVER_MAX_REQUESTS][64], path[SERVER_MAX_REQUESTS][128];
} test_server;

static inline bool server_send(int s, const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t sent = send(s, bytes, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes += sent;
        size -= (size_t)sent;
    }
    return true;
}

static inline void server_header(const char *request, const char *name, char *value, size_t bytes) {
    const char *line = strcasestr(request, name);
    value[0] = '\0';
    if (line)
        snprintf(value, bytes, "%.*s", (int)strcspn(line + strlen(name), "\r\n"), line + strlen(name));
}

static inline void server_answer_status(int s, int status, const char *location) {
    char text[512];
    int length = snprintf(text, sizeof text, "HTTP/1.1 %d Said\r\n%s%s%sContent-Length: 9\r\nConnection: close\r\n\r\nnot this\n", status,
                          location ? "Location: " : "", location ? location : "", location ? "\r\n" : "");
    server_send(s, text, (size_t)length);
}

/* Until the client goes or the test ends. */
static inline void server_stand_still(test_server *t, int s) {
    char byte;
    while (!atomic_load(&t->stop)) {
        struct pollfd p = {.fd = s, .events = POLLIN};
        if (poll(&p, 1, 50) > 0 && recv(s, &byte, 1, 0) <= 0)
            return;
    }
}

static inline void server_answer_file(test_server *t, int s, int number) {
    bool next = number > 0 && t->next_body;
    const char *body = next ? t->next_body : t->body, *etag = next ? t->next_etag : t->etag;
    size_t size = next ? t->next_size : t->size, start = 0;
    bool wanted = sscanf(t->range[number], " bytes=%zu-", &start) == 1 && !t->no_range;
    if (wanted && t->if_range[number][0] && (!etag || strcmp(t->if_range[number] + 1, etag) != 0))
        wanted = false;
    if (!wanted)
        start = 0;
    char head[512], range[128] = "", tag[80] = "", length[64] = "";
    if (wanted && start >= size) {
        int n = snprintf(head, sizeof head, "HTTP/1.1 416 Range\r\nContent-Range: bytes */%zu\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", size);
        server_send(s, head, (size_t)n);
        return;
    }
    if (wanted)
        snprintf(range, sizeof range, "Content-Range: bytes %zu-%zu/%zu\r\n", start + (t->wrong_start ? 1 : 0), size - 1, size);
    if (etag)
        snprintf(tag, sizeof tag, "ETag: %s\r\n", etag);
    if (!t->no_length)
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", size - start);
    int n = snprintf(head, sizeof head, "HTTP/1.1 %s\r\n%s%s%sConnection: close\r\n\r\n", wanted ? "206 Partial" : "200 OK", range, tag, length);
    if (t->slow_ms)
        poll(NULL, 0, t->slow_ms);
    size_t send_bytes = size - start;
    bool cut = t->cuts > 0, stall = t->stalls > 0;
    if (cut && t->cut_at < send_bytes)
        send_bytes = t->cut_at;
    if (stall)
        send_bytes /= 2;
    t->cuts -= cut;
    t->stalls -= stall;
    if (server_send(s, head, (size_t)n) && server_send(s, body + start, send_bytes))
        atomic_fetch_add(&t->body_bytes, (long long)send_bytes);
    if (stall)
        server_stand_still(t, s);
}

static inline void server_answer(test_server *t, int s) {
    char request[4096];
    size_t used = 0;
    while (used < sizeof request - 1) {
        ssize_t got = recv(s, request + used, sizeof request - 1 - used, 0);
        if (got <= 0)
            return;
        used += (size_t)got;
        request[used] = '\0';
        if (strstr(request, "\r\n\r\n"))
            break;
    }
    int number = atomic_load(&t->requests);
    if (number >= SERVER_MAX_REQUESTS)
        return;
    server_header(request, "\r\nRange:", t->range[number], sizeof t->range[number]);
    server_header(request, "\r\nIf-Range:", t->if_range[number], sizeof t->if_range[number]);
    sscanf(request, "%*s %127s", t->path[number]);
    atomic_store(&t->requests, number + 1); /* before the answer, after which the client may ask */
    if (t->loop)
        server_answer_status(s, 302, t->path[number]);
    else if (t->redirect && strcmp(t->path[number], "/moved") != 0)
        server_answer_status(s, 302, "/moved");
    else if (t->status && number < t->status_count)
        server_answer_status(s, t->status, NULL);
    else
        server_answer_file(t, s, number);
}

static inline void *server_run(void *user) {
    test_server *t = user;
    while (!atomic_load(&t->stop)) {
        struct pollfd p = {.fd = t->listening, .events = POLLIN};
        if (poll(&p, 1, 20) <= 0)
            continue;
        int s = accept(t->listening, NULL, NULL);
        if (s < 0)
            continue;
        server_answer(t, s);
        shutdown(s, SHUT_WR);
        close(s);
    }
    return NULL;
}

/* Listens on a free port of 127.0.0.1; false where the system does not let it. */
static inline bool server_start(test_server *t) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof a;
    t->listening = socket(AF_INET, SOCK_STREAM, 0);
    if (t->listening < 0 || bind(t->listening, (struct sockaddr *)&a, sizeof a) || listen(t->listening, 16) ||
        getsockname(t->listening, (struct sockaddr *)&a, &length))
        return false;
    t->port = ntohs(a.sin_port);
    snprintf(t->url, sizeof t->url, "http://127.0.0.1:%d", t->port);
    return pthread_create(&t->thread, NULL, server_run, t) == 0;
}

static inline void server_stop(test_server *t) {
    atomic_store(&t->stop, true);
    pthread_join(t->thread, NULL);
    close(t->listening);
}

#endif
