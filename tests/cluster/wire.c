/*
 * wire: the network between the hosts of the test bed when it is to be slow. Kernels without netem cannot delay packets,
 * but nearly all have TAP devices: each host gets one, and this process carries the frames between them.
 *
 *     wire NAME=PID...
 *
 * PID is a process on the host NAME; its network namespace holds a TAP device eth0. Lines read from standard input change
 * the network while it is in use, and each is answered by a line on standard output:
 *
 *     delay SECONDS      every frame arrives that much later (one way)
 *     rate BITS          what a host sends leaves it at BITS per second; 0: at once
 *     cut NAME           nothing reaches this host or leaves it
 *     heal NAME          undoes that
 *     count              answers: frames and bytes carried so far
 *
 * A host's frames queue behind each other at its rate, then travel for the delay, in order. A queue longer than QUEUE
 * bytes drops what comes, as a router does: TCP then finds the rate. Cost: one heap-free queue per host, since with one
 * delay for all frames those of a host arrive in the order in which they left.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { HOSTS = 16, FRAME = 2048, QUEUE = 4 << 20, BURST = 64 };

struct frame {
    struct frame *next;
    double due;
    int to, length;
    unsigned char bytes[];
};

static struct host {
    char name[32];
    unsigned char address[6];
    int tap, known, cut;
    double idle_from;           /* when what it has sent so far will have left it */
    struct frame *first, *last; /* on their way from it, by time of arrival */
} hosts[HOSTS];
static int count;
static double delay, rate;
static unsigned long long frames, bytes;

static void fail(const char *what)
{
    fprintf(stderr, "wire: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Opens the TAP device of the host that a process is on. */
static int open_tap(const char *pid)
{
    char path[64];
    struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), there, tap;
    snprintf(path, sizeof path, "/proc/%s/ns/net", pid);
    if (home < 0 || (there = open(path, O_RDONLY | O_CLOEXEC)) < 0) fail(path);
    if (setns(there, CLONE_NEWNET)) fail("setns");
    strcpy(request.ifr_name, "eth0");
    if ((tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)) < 0) fail("/dev/net/tun");
    if (ioctl(tap, TUNSETIFF, &request)) fail("TUNSETIFF");
    if (setns(home, CLONE_NEWNET)) fail("setns");
    close(home);
    close(there);
    return tap;
}

static void send_frame(struct host *from, int to, const unsigned char *data, int length, double due)
{
    struct frame *frame = malloc(sizeof *frame + (size_t)length);
    if (!frame) fail("malloc");
    *frame = (struct frame){ .due = due, .to = to, .length = length };
    memcpy(frame->bytes, data, (size_t)length);
    if (from->last) from->last->next = frame;
    else from->first = frame;
    from->last = frame;
    frames++;
    bytes += (unsigned long long)length;
}

/* Takes a frame from a host and sends it to the one it is for, or to all while nobody knows which that is. */
static void take(int number, const unsigned char *data, int length)
{
    struct host *from = &hosts[number];
    double departs = now();
    if (length < 14) return;
    memcpy(from->address, data + 6, 6);
    from->known = 1;
    if (rate > 0) {
        if (from->idle_from < departs) from->idle_from = departs;
        if ((from->idle_from - departs) * rate / 8 + length > QUEUE) return;
        from->idle_from += 8.0 * length / rate;
        departs = from->idle_from;
    }
    for (int to = 0; to < count; to++)
        if (to != number && hosts[to].known && !memcmp(hosts[to].address, data, 6)) {
            send_frame(from, to, data, length, departs + delay);
            return;
        }
    for (int to = 0; to < count; to++)
        if (to != number) send_frame(from, to, data, length, departs + delay);
}

/* Delivers what has arrived; returns the seconds until the next frame will have, or a negative number. */
static double deliver(void)
{
    double next = -1;
    for (int number = 0; number < count; number++) {
        struct host *from = &hosts[number];
        while (from->first) {
            struct frame *frame = from->first;
            double left = frame->due - now();
            if (left > 0) {
                if (next < 0 || left < next) next = left;
                break;
            }
            /* The kernel refuses a frame where the host's interface is down or its queue full: it is lost. */
            if (!from->cut && !hosts[frame->to].cut && write(hosts[frame->to].tap, frame->bytes, (size_t)frame->length) < 0 &&
                errno != EIO && errno != EAGAIN && errno != ENOBUFS)
                fail("write");
            from->first = frame->next;
            if (!from->first) from->last = NULL;
            free(frame);
        }
    }
    return next;
}

static void obey(char *line)
{
    char word[16] = "", value[32] = "";
    int known = 1, host = 0;
    sscanf(line, "%15s %31s", word, value);
    while (host < count && strcmp(hosts[host].name, value)) host++;
    if (!strcmp(word, "delay")) delay = atof(value);
    else if (!strcmp(word, "rate")) rate = atof(value);
    else if (!strcmp(word, "cut") && host < count) hosts[host].cut = 1;
    else if (!strcmp(word, "heal") && host < count) hosts[host].cut = 0;
    else if (strcmp(word, "count")) known = 0;
    if (known) printf("ok %llu %llu\n", frames, bytes);
    else printf("error: %s\n", line);
    fflush(stdout);
}

int main(int arguments, char **argument)
{
    struct pollfd watched[HOSTS + 1] = { { .fd = STDIN_FILENO, .events = POLLIN } };
    struct sched_param urgent = { .sched_priority = 5 };
    unsigned char data[FRAME];
    if (arguments < 2 || arguments - 1 > HOSTS) {
        fprintf(stderr, "usage: wire NAME=PID...\n");
        return 2;
    }
    for (; count < arguments - 1; count++) {
        char pid[16];
        if (sscanf(argument[count + 1], "%31[^=]=%15s", hosts[count].name, pid) != 2) fail(argument[count + 1]);
        hosts[count].tap = open_tap(pid);
        watched[count + 1] = (struct pollfd){ .fd = hosts[count].tap, .events = POLLIN };
    }
    /* Times must hold while the ranks keep every core busy. Where that is not allowed they are less exact. */
    if (sched_setscheduler(0, SCHED_RR, &urgent)) perror("wire: SCHED_RR");
    for (;;) {
        double left = deliver();
        struct timespec wait = { .tv_sec = (time_t)left, .tv_nsec = (long)(1e9 * (left - (double)(time_t)left)) };
        if (ppoll(watched, (nfds_t)count + 1, left < 0 ? NULL : &wait, NULL) < 0 && errno != EINTR) fail("ppoll");
        for (int number = 0; number < count; number++)
            for (int burst = 0; watched[number + 1].revents && burst < BURST; burst++) {
                ssize_t length = read(hosts[number].tap, data, sizeof data);
                if (length <= 0) break;
                take(number, data, (int)length);
            }
        if (watched[0].revents) {
            char line[128];
            ssize_t length = read(STDIN_FILENO, line, sizeof line - 1);
            if (length <= 0) return 0;
            line[length] = 0;
            obey(line);
        }
    }
}
