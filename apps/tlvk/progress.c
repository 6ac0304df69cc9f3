/* progress.c - hides how a running fit is shown: a bar as Keras draws it on a terminal, one line per epoch elsewhere. */
#include "cli.h"

#include <math.h>
#include <string.h>

#define BAR_WIDTH 25
#define REDRAW_SECONDS 0.1

void cli_progress_start(cli_progress *p, bool validation) {
    *p = (cli_progress){.terminal = cli_stderr_is_terminal(), .validation = validation, .began = cli_seconds()};
}

/* The terminal is one, and so is its unfinished line. */
static bool line_open;

void cli_progress_break(void) {
    if (line_open) {
        fputc('\n', stderr);
        line_open = false;
    }
}

/* "12s", "3:07", "1:02:03". */
static void clock_text(double seconds, char text[32]) {
    long s = seconds > 0.0 && seconds < 1e9 ? lround(seconds) : 0;
    if (s >= 3600) {
        snprintf(text, 32, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    } else if (s >= 60) {
        snprintf(text, 32, "%ld:%02ld", s / 60, s % 60);
    } else {
        snprintf(text, 32, "%lds", s);
    }
}

static void bar_text(int64_t done, int64_t all, char bar[BAR_WIDTH + 1]) {
    int filled = all > 0 ? (int)((double)done / (double)all * BAR_WIDTH) : BAR_WIDTH;
    filled = filled < 0 ? 0 : filled > BAR_WIDTH ? BAR_WIDTH : filled;
    memset(bar, '.', BAR_WIDTH);
    memset(bar, '=', (size_t)filled);
    if (filled < BAR_WIDTH) {
        bar[filled] = '>';
    }
    bar[BAR_WIDTH] = 0;
}

static void print_logs(const tlvk_logs *logs, bool validation) {
    fprintf(stderr, " - loss: %.4f - accuracy: %.4f", logs->loss, logs->accuracy);
    if (validation) {
        fprintf(stderr, " - val_loss: %.4f - val_accuracy: %.4f", logs->val_loss, logs->val_accuracy);
    }
}

static void draw(cli_progress *p, const char *title, int64_t done, int64_t all, const tlvk_logs *logs) {
    double now = cli_seconds();
    if (done < all && now - p->drawn < REDRAW_SECONDS) {
        return;
    }
    p->drawn = now;
    char bar[BAR_WIDTH + 1], eta[32];
    bar_text(done, all, bar);
    double spent = now - p->began;
    clock_text(done > 0 ? spent / (double)done * (double)(all - done) : 0.0, eta);
    fprintf(stderr, "\r%s%lld/%lld [%s] - ETA: %s", title, (long long)done, (long long)all, bar, eta);
    if (logs) {
        print_logs(logs, false);
    }
    fputs("\033[K", stderr);
    line_open = true;
}

void cli_progress_bytes(cli_progress *p, const char *title, int64_t done, int64_t total) {
    double now = cli_seconds(), spent = now - p->began;
    if (now - p->drawn < REDRAW_SECONDS && done != total) {
        return;
    }
    p->drawn = now;
    char bar[BAR_WIDTH + 1], eta[32];
    bar_text(done, total > 0 ? total : done + 1, bar);
    clock_text(total > 0 && done > 0 ? spent / (double)done * (double)(total - done) : 0.0, eta);
    if (total >= 0) {
        fprintf(stderr, "\r%s: %.1f/%.1f MB [%s] - ETA: %s\033[K", title, (double)done / 1e6, (double)total / 1e6, bar, eta);
    } else {
        fprintf(stderr, "\r%s: %.1f MB\033[K", title, (double)done / 1e6);
    }
    fflush(stderr);
    line_open = true;
}

static void finish_epoch(cli_progress *p, const tlvk_event *event) {
    if (p->terminal) {
        char bar[BAR_WIDTH + 1];
        bar_text(1, 1, bar);
        double ms = event->steps > 0 ? 1e3 * event->logs.seconds / (double)event->steps : 0.0;
        fprintf(stderr, "\r%lld/%lld [%s] - %.1fs %.0fms/step", (long long)event->steps, (long long)event->steps, bar, event->logs.seconds, ms);
    } else {
        fprintf(stderr, "Epoch %d/%d - %.1fs", event->epoch + 1, event->epochs, event->logs.seconds);
    }
    print_logs(&event->logs, p->validation);
    fputs(p->terminal ? "\033[K\n" : "\n", stderr);
    line_open = false;
}

void cli_progress_event(cli_progress *p, const tlvk_event *event) {
    switch (event->kind) {
    case TLVK_EVENT_EPOCH_BEGIN:
        p->began = cli_seconds();
        p->drawn = 0.0;
        if (p->terminal) {
            cli_progress_break();
            fprintf(stderr, "Epoch %d/%d\n", event->epoch + 1, event->epochs);
        }
        break;
    case TLVK_EVENT_STEP_END:
        if (p->terminal) {
            draw(p, "", event->step, event->steps, &event->logs);
        }
        break;
    case TLVK_EVENT_EPOCH_END: finish_epoch(p, event); break;
    case TLVK_EVENT_PLANNED:
        break;
    case TLVK_EVENT_FEATURES:
        if (p->terminal) {
            draw(p, "Frozen part, once per picture: ", event->step, event->steps, NULL);
            if (event->step >= event->steps) {
                cli_progress_break();
                p->began = cli_seconds();
            }
        }
        break;
    }
    fflush(stderr);
}
