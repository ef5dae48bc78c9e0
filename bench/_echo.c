/* The limit for bench/serving.py: an HTTP/1.1 echo over epoll in one thread, nothing checked but the length.
 *
 *   _echo PORT
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM 65536

typedef struct {
    int fd, n;
    char in[ROOM];
} line_t;

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    int door = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
    if (bind(door, (struct sockaddr *)&at, sizeof at) || listen(door, 256)) { perror("listen"); return 1; }
    int watch = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(watch, EPOLL_CTL_ADD, door, &event);
    for (;;) {
        struct epoll_event events[256];
        int found = epoll_wait(watch, events, 256, -1);
        for (int i = 0; i < found; i++) {
            line_t *line = events[i].data.ptr;
            if (!line) {
                int fd = accept4(door, NULL, NULL, SOCK_NONBLOCK);
                if (fd < 0) continue;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                line = calloc(1, sizeof *line);
                line->fd = fd;
                struct epoll_event taken = {.events = EPOLLIN, .data.ptr = line};
                epoll_ctl(watch, EPOLL_CTL_ADD, fd, &taken);
                continue;
            }
            ssize_t got = recv(line->fd, line->in + line->n, ROOM - line->n, 0);
            if (got <= 0) { close(line->fd); free(line); continue; }
            line->n += got;
            char *end = memmem(line->in, line->n, "\r\n\r\n", 4);
            if (!end) continue;
            int head = end + 4 - line->in, length = 0;
            for (char *text = line->in; text < end;) {
                char *next = memmem(text, end + 2 - text, "\r\n", 2);
                if (!strncasecmp(text, "content-length:", 15)) length = atoi(text + 15);
                text = next + 2;
            }
            if (line->n < head + length) continue;
            char out[ROOM + 256];
            int n = sprintf(out, "HTTP/1.1 200 OK\r\ncontent-type: text/csv\r\ncontent-length: %d\r\n\r\n", length);
            memcpy(out + n, line->in + head, length);
            if (send(line->fd, out, n + length, MSG_NOSIGNAL) < 0) { close(line->fd); free(line); continue; }
            line->n = 0;
        }
    }
}
