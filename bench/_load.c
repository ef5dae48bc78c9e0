/* Load for bench/serving.py: keep-alive HTTP/1.1 over epoll, requests made beforehand.
 *
 *   _load HOST PORT CONNECTIONS SECONDS FILE EXPECTED
 *
 * FILE: for each request its length (u32, little-endian), then its bytes; connections walk through them.
 * EXPECTED: hexadecimal bytes that every answer's body must begin with; "-" takes any.
 * Prints one line of JSON: n, seconds, errors (another status than 200, or another body), and microseconds
 * of latency: p50, p99, most.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ROOM 65536
#define MOST_SAMPLES 8000000

typedef struct {
    int fd;
    char in[ROOM];
    int n_in;
    const char *out;
    uint32_t n_out;
    int64_t since;
} line_t;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Return the answer's whole length once it is there, 0 while it is not; -1 where it cannot be told. */
static int whole(const char *text, int n, const char **body, int *n_body) {
    const char *end = memmem(text, n, "\r\n\r\n", 4);
    if (!end) return n == ROOM ? -1 : 0;
    int head = end + 4 - text, length = -1;
    for (const char *at = text; at && at < end;) {
        const char *next = memmem(at, end + 2 - at, "\r\n", 2);
        if (!strncasecmp(at, "content-length:", 15)) length = atoi(at + 15);
        if (!strncasecmp(at, "transfer-encoding:", 18)) {
            const char *last = memmem(end + 2, n - (end + 2 - text), "\r\n0\r\n\r\n", 7);
            const char *first = memmem(end + 4, n - head, "\r\n", 2);
            *body = first ? first + 2 : end + 4;
            *n_body = last && first ? last - *body : 0;
            return last ? (int)(last + 7 - text) : 0;
        }
        at = next ? next + 2 : NULL;
    }
    if (length < 0) return -1;
    *body = text + head;
    *n_body = length;
    return n >= head + length ? head + length : 0;
}

static int opened(const struct sockaddr_in *to) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (connect(fd, (const struct sockaddr *)to, sizeof *to)) return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

int main(int argc, char **argv) {
    if (argc != 7) return 2;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    inet_pton(AF_INET, argv[1], &to.sin_addr);
    int n_lines = atoi(argv[3]);
    double seconds = atof(argv[4]);
    FILE *file = fopen(argv[5], "rb");
    if (!file) return 2;
    struct stat about;
    fstat(fileno(file), &about);
    char *bytes = malloc(about.st_size);
    if (fread(bytes, 1, about.st_size, file) != (size_t)about.st_size) return 2;
    const char *requests[65536];
    uint32_t sizes[65536];
    int n_requests = 0;
    for (off_t at = 0; at < about.st_size && n_requests < 65536; n_requests++) {
        memcpy(&sizes[n_requests], bytes + at, 4);
        requests[n_requests] = bytes + at + 4;
        at += 4 + sizes[n_requests];
    }
    char wanted[256];
    int n_wanted = 0;
    if (strcmp(argv[6], "-"))
        for (const char *at = argv[6]; at[0] && at[1] && n_wanted < 256; at += 2) {
            unsigned byte;
            sscanf(at, "%2x", &byte);
            wanted[n_wanted++] = byte;
        }
    line_t *lines = calloc(n_lines, sizeof *lines);
    uint32_t *samples = malloc(MOST_SAMPLES * sizeof *samples);
    int64_t n = 0, errors = 0, turn = 0;
    int watch = epoll_create1(0);
    for (int i = 0; i < n_lines; i++) {
        lines[i].fd = opened(&to);
        if (lines[i].fd < 0) { perror("connect"); return 1; }
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &lines[i]};
        epoll_ctl(watch, EPOLL_CTL_ADD, lines[i].fd, &event);
    }
    int64_t begun = now_ns(), until = begun + (int64_t)(seconds * 1e9);
#define ASK(l) do { \
        (l)->out = requests[turn % n_requests]; (l)->n_out = sizes[turn % n_requests]; turn++; \
        (l)->since = now_ns(); \
        ssize_t sent = send((l)->fd, (l)->out, (l)->n_out, MSG_NOSIGNAL); \
        if (sent != (ssize_t)(l)->n_out) { perror("send"); return 1; } \
    } while (0)
    for (int i = 0; i < n_lines; i++) ASK(&lines[i]);
    int64_t present = begun;
    while (present < until) {
        struct epoll_event events[256];
        int found = epoll_wait(watch, events, 256, 1000);
        for (int i = 0; i < found; i++) {
            line_t *line = events[i].data.ptr;
            ssize_t got = recv(line->fd, line->in + line->n_in, ROOM - line->n_in, 0);
            if (got < 0 && errno == EAGAIN) continue;
            if (got <= 0) {  /* the server closed: count it, and come again */
                errors++;
                epoll_ctl(watch, EPOLL_CTL_DEL, line->fd, NULL);
                close(line->fd);
                line->fd = opened(&to);
                if (line->fd < 0) { perror("connect"); return 1; }
                struct epoll_event event = {.events = EPOLLIN, .data.ptr = line};
                epoll_ctl(watch, EPOLL_CTL_ADD, line->fd, &event);
                line->n_in = 0;
                ASK(line);
                continue;
            }
            line->n_in += got;
            const char *body = NULL;
            int n_body = 0, length = whole(line->in, line->n_in, &body, &n_body);
            if (length < 0) { fprintf(stderr, "not an answer: %.200s\n", line->in); return 1; }
            if (!length) continue;
            present = now_ns();
            if (memcmp(line->in + 8, " 200", 4) || n_body < n_wanted || memcmp(body, wanted, n_wanted)) {
                if (!errors++) fprintf(stderr, "an answer is wrong: %.300s\n", line->in);
            }
            if (n < MOST_SAMPLES) samples[n] = (present - line->since) / 1000;
            n++;
            line->n_in = 0;
            ASK(line);
        }
        if (!found) present = now_ns();
    }
    double took = (now_ns() - begun) / 1e9;
    int64_t kept = n < MOST_SAMPLES ? n : MOST_SAMPLES;
    qsort(samples, kept, sizeof *samples, by_value);
    printf("{\"n\": %ld, \"seconds\": %.4f, \"errors\": %ld, \"p50\": %u, \"p99\": %u, \"most\": %u}\n", (long)n, took,
           (long)errors, kept ? samples[kept / 2] : 0, kept ? samples[kept * 99 / 100] : 0,
           kept ? samples[kept - 1] : 0);
    return 0;
}
