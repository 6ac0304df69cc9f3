/* output.c - hides how results and messages are written: JSON Lines by jansson, texts made safe for it, and a check that stdout took them. */
#include "cli.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void cli_message(const char *format, ...) {
    va_list args;
    va_start(args, format);
    cli_progress_break();
    fputs("tlvk: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

void cli_print_json(json_t *line) {
    /* Nine significant digits give every float back exactly. */
    char *text = line ? json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(line);
    if (!text) {
        cli_message("out of memory while writing a result");
        return;
    }
    puts(text);
    fflush(stdout);
    free(text);
}

json_t *cli_json_number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

/* Length of the UTF-8 sequence that begins at s, 0 where there is none (RFC 3629). */
static size_t utf8_length(const unsigned char *s) {
    size_t length = s[0] < 0x80 ? 1 : s[0] >= 0xC2 && s[0] < 0xE0 ? 2 : s[0] >= 0xE0 && s[0] < 0xF0 ? 3 : s[0] >= 0xF0 && s[0] < 0xF5 ? 4 : 0;
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xF0 && s[1] < 0x90);
    bool surrogate = s[0] == 0xED && s[1] >= 0xA0;
    bool beyond = s[0] == 0xF4 && s[1] >= 0x90;
    return length > 1 && (overlong || surrogate || beyond) ? 0 : length;
}

json_t *cli_json_text(const char *text) {
    if (!text) {
        return json_null();
    }
    json_t *value = json_string(text);
    if (value) {
        return value;
    }
    char *clean = malloc(3 * strlen(text) + 1), *end = clean;
    if (!clean) {
        return NULL;
    }
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        size_t length = utf8_length(s);
        memcpy(end, length ? (const char *)s : "\xEF\xBF\xBD", length ? length : 3);
        end += length ? length : 3;
        s += length ? length : 1;
    }
    *end = 0;
    value = json_string(clean);
    free(clean);
    return value;
}

const char *cli_bytes_text(uint64_t bytes, char text[CLI_BYTES_TEXT]) {
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes / 1024;
    int unit = 0;
    while (value >= 1000 && unit < 3) {
        value /= 1024;
        unit++;
    }
    snprintf(text, CLI_BYTES_TEXT, "%.*f %s", value < 10 ? 2 : value < 100 ? 1 : 0, value, units[unit]);
    return text;
}

int cli_flush(int status) {
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return status;
    }
    cli_message("stdout could not be written");
    return status == CLI_DONE ? CLI_FAILED : status;
}

char *cli_format(const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    char *text = length < 0 ? NULL : malloc((size_t)length + 1);
    if (text) {
        vsnprintf(text, (size_t)length + 1, format, again);
    }
    va_end(again);
    va_end(args);
    return text;
}
