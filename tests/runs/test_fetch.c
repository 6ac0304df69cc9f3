/* test_fetch.c - official files fetched from a server on loopback that behaves in every way that networks do. */
#define _GNU_SOURCE
#include "core/platform.h"
#include "support/server.h"
#include "weights/fetch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define SIZE 300000
#define NAME "net.h5"

static const tlvk__transfer_settings hasty = {.connect_seconds = 5, .stall_seconds = 1, .tries = 3, .pause_seconds = 0.02};

/* A server, a cache of its own, and the file that was "published". */
typedef struct scene {
    tlvk_context *ctx;
    test_server server;
    char *home, *path, *part, *lock;
    uint8_t body[SIZE];
    char hash[TLVK__DIGEST_HEX];
    tlvk__official file;
    int64_t done, total;
    int calls;
    int64_t cancel_at;
    char said[2048];
} scene;

static void hear(tlvk_log_level level, const char *text, void *user) {
    scene *s = user;
    if (level == TLVK_LOG_WARNING)
        snprintf(s->said, sizeof s->said, "%s", text);
}

static void hash_of(const void *bytes, size_t size, char hex[TLVK__DIGEST_HEX]) {
    tlvk__digest d;
    tlvk__digest_init(&d, TLVK__DIGEST_MD5);
    tlvk__digest_add(&d, bytes, size);
    tlvk__digest_hex(&d, hex);
}

static void set_context(scene *s, bool no_download) {
    tlvk_context_destroy(s->ctx);
    const tlvk_context_desc desc = {.no_download = no_download, .cache_folder = "", .log = hear, .log_user = s, .log_level = TLVK_LOG_INFO};
    assert_int_equal(tlvk_context_create(&desc, &s->ctx), TLVK_OK);
}

static int set_up(void **state) {
    scene *s = calloc(1, sizeof *s);
    const char *temp = tlvk__env("TLVK_TEST_TEMP");
    s->home = tlvk__format("%s/fetch-XXXXXX", temp ? temp : "/tmp");
    if (temp)
        assert_int_equal(tlvk__make_folders(temp), TLVK_OK);
    assert_non_null(mkdtemp(s->home));
    s->path = tlvk__format("%s/models/" NAME, s->home);
    s->part = tlvk__format("%s.part", s->path);
    s->lock = tlvk__format("%s.lock", s->path);
    for (size_t i = 0; i < SIZE; i++)
        s->body[i] = (uint8_t)(i * 31 + i / 257);
    memcpy(s->body, "\x89HDF\r\n\x1a\n", 8);
    hash_of(s->body, SIZE, s->hash);
    s->file = (tlvk__official){.file = NAME, .address = "https://storage.googleapis.com/there/" NAME, .hash = s->hash};
    s->server.body = s->body;
    s->server.size = SIZE;
    s->server.etag = "\"one\"";
    assert_true(server_start(&s->server));
    setenv("KERAS_HOME", s->home, 1);
    setenv("TLVK_WEIGHTS_URL", s->server.url, 1);
    setenv("no_proxy", "127.0.0.1", 1);
    set_context(s, false);
    *state = s;
    return 0;
}

static int tear_down(void **state) {
    scene *s = *state;
    server_stop(&s->server);
    tlvk_context_destroy(s->ctx);
    tlvk__file_remove(s->path);
    tlvk__file_remove(s->part);
    tlvk__file_remove(s->lock);
    char *models = tlvk__format("%s/models", s->home);
    rmdir(models);
    assert_int_equal(rmdir(s->home), 0); /* nothing else was left */
    free(models);
    free(s->home);
    free(s->path);
    free(s->part);
    free(s->lock);
    free(s);
    return 0;
}

static void watch(int64_t done, int64_t total, void *user) {
    scene *s = user;
    s->calls++;
    s->done = done;
    s->total = total;
    if (s->cancel_at && done >= s->cancel_at)
        tlvk_cancel(s->ctx);
}

static tlvk_status fetch(scene *s) {
    char *path = NULL;
    tlvk__context_clear_cancel(s->ctx);
    tlvk_status st = tlvk__official_fetch(s->ctx, &s->file, &(tlvk__fetch_how){.settings = &hasty, .progress = watch, .user = s}, &path);
    if (st)
        assert_null(path);
    else
        assert_string_equal(path, s->path);
    free(path);
    assert_false(tlvk__is_file(s->lock));
    return st;
}

static void assert_content(const char *path, const void *bytes, size_t size) {
    void *data;
    size_t got;
    assert_int_equal(tlvk__file_read(path, &data, &got, 2 * SIZE), TLVK_OK);
    assert_int_equal(got, size);
    assert_memory_equal(data, bytes, size);
    free(data);
}

static void assert_fetched(scene *s, int requests) {
    assert_int_equal(fetch(s), TLVK_OK);
    assert_content(s->path, s->body, SIZE);
    assert_false(tlvk__is_file(s->part));
    assert_int_equal(s->server.requests, requests);
}

static void assert_said(const char *words) {
    if (!strstr(tlvk__fail_text(), words))
        fail_msg("\"%s\" is not in \"%s\"", words, tlvk__fail_text());
}

/* The error has the address and the place for the file. */
static void assert_refused(scene *s, tlvk_status status, const char *words) {
    assert_int_equal(fetch(s), status);
    assert_said(words);
    if (status == TLVK_ERROR_FILE) {
        char *help = tlvk__format("; get %s/there/" NAME " and put it at %s", s->server.url, s->path);
        assert_said(help);
        free(help);
    }
    assert_false(tlvk__is_file(s->path));
}

static void write_file(const char *path, const void *bytes, size_t size) {
    char *folder = strndup(path, (size_t)(strrchr(path, '/') - path));
    assert_int_equal(tlvk__make_folders(folder), TLVK_OK);
    assert_int_equal(tlvk__file_replace(path, bytes, size), TLVK_OK);
    free(folder);
}

/* --- the right file ------------------------------------------------------------------------------------------------------------ */

static void fetches_once(void **state) {
    scene *s = *state;
    assert_fetched(s, 1);
    assert_string_equal(s->server.path[0], "/there/" NAME);
    assert_string_equal(s->server.range[0], "");
    assert_true(s->calls > 0);
    assert_int_equal(s->done, SIZE);
    assert_int_equal(s->total, SIZE);
    assert_fetched(s, 1); /* from the cache */
}

static void follows_redirects(void **state) {
    scene *s = *state;
    s->server.redirect = true;
    assert_fetched(s, 2);
    assert_string_equal(s->server.path[1], "/moved");
}

static void ends_redirect_loops(void **state) {
    scene *s = *state;
    s->server.loop = true;
    assert_refused(s, TLVK_ERROR_FILE, "redirect");
    assert_in_range(s->server.requests, 2, 8);
}

static void takes_a_length_that_nobody_told(void **state) {
    scene *s = *state;
    s->server.no_length = true;
    assert_fetched(s, 1);
    assert_int_equal(s->total, -1);
}

/* --- another file ---------------------------------------------------------------------------------------------------------------- */

static void refuses_a_wrong_hash(void **state) {
    scene *s = *state;
    char found[TLVK__DIGEST_HEX];
    hash_of(s->body, SIZE, found);
    s->file.hash = "00112233445566778899aabbccddeeff";
    assert_refused(s, TLVK_ERROR_FORMAT, found);
    assert_said("00112233445566778899aabbccddeeff");
    assert_false(tlvk__is_file(s->part));
    assert_int_equal(s->server.requests, 1);
}

static void checks_sha256(void **state) {
    scene *s = *state;
    tlvk__digest d;
    tlvk__digest_init(&d, TLVK__DIGEST_SHA256);
    tlvk__digest_add(&d, s->body, SIZE);
    tlvk__digest_hex(&d, s->hash);
    s->file.hash_kind = TLVK__DIGEST_SHA256;
    assert_fetched(s, 1);
}

static void looks_at_files_without_a_hash(void **state) {
    scene *s = *state;
    s->file.hash = NULL;
    s->server.body = "<html>a page that says welcome, with status 200</html>";
    s->server.size = 50;
    assert_refused(s, TLVK_ERROR_FORMAT, "not an HDF5 file");
    assert_false(tlvk__is_file(s->part));
    s->server.body = s->body;
    s->server.size = SIZE;
    assert_fetched(s, 2);
}

static void replaces_a_damaged_file(void **state) {
    scene *s = *state;
    write_file(s->path, s->body, SIZE / 2);
    set_context(s, true);
    assert_int_equal(fetch(s), TLVK_ERROR_FORMAT);
    assert_said(s->hash);
    assert_content(s->path, s->body, SIZE / 2);
    set_context(s, false);
    assert_fetched(s, 1);
    assert_non_null(strstr(s->said, "it is fetched anew"));
    write_file(s->path, s->body, SIZE);
    set_context(s, true);
    assert_fetched(s, 1);
}

static void says_where_the_file_belongs(void **state) {
    scene *s = *state;
    set_context(s, true);
    assert_refused(s, TLVK_ERROR_FILE, "nothing is to be downloaded");
    assert_int_equal(s->server.requests, 0);
    set_context(s, false);
    setenv("TLVK_WEIGHTS_URL", "http://127.0.0.1:1/", 1); /* nobody listens there */
    assert_int_equal(fetch(s), TLVK_ERROR_FILE);
    assert_said("; get http://127.0.0.1:1/there/" NAME " and put it at ");
    assert_said(s->path);
}

/* --- broken connections ------------------------------------------------------------------------------------------------------------- */

static void goes_on_after_a_cut(void **state) {
    scene *s = *state;
    s->server.cuts = 5; /* more than tries: a try that brought bytes is none in vain */
    s->server.cut_at = 50000;
    assert_fetched(s, 6);
    assert_string_equal(s->server.range[1], " bytes=50000-");
    assert_string_equal(s->server.if_range[1], " \"one\"");
    assert_string_equal(s->server.range[5], " bytes=250000-");
    assert_int_equal(s->server.body_bytes, SIZE);
}

static void starts_again_without_ranges(void **state) {
    scene *s = *state;
    s->server.cuts = 1;
    s->server.cut_at = 70000;
    s->server.no_range = true;
    assert_fetched(s, 2);
    assert_string_equal(s->server.range[1], " bytes=70000-");
}

/* It sends the same beginning each time: that is no progress, though each try brings bytes. */
static void leaves_a_server_that_gets_nowhere(void **state) {
    scene *s = *state;
    s->server.cuts = SERVER_MAX_REQUESTS;
    s->server.cut_at = 70000;
    s->server.no_range = true;
    assert_refused(s, TLVK_ERROR_FILE, "remaining to read");
    assert_int_equal(s->server.requests, hasty.tries);
}

static void starts_again_when_the_file_changed(void **state) {
    scene *s = *state;
    uint8_t *old = malloc(SIZE);
    memset(old, 7, SIZE);
    s->server.body = old;
    s->server.next_body = s->body;
    s->server.next_size = SIZE;
    s->server.next_etag = "\"two\"";
    s->server.cuts = 1;
    s->server.cut_at = 70000;
    assert_fetched(s, 2);
    free(old);
}

static void starts_again_when_ranges_lie(void **state) {
    scene *s = *state;
    s->server.cuts = 1;
    s->server.cut_at = 70000;
    s->server.wrong_start = true;
    assert_fetched(s, 3);
    assert_string_equal(s->server.range[2], "");
}

static void goes_on_with_an_earlier_part(void **state) {
    scene *s = *state;
    write_file(s->part, s->body, 123456);
    assert_fetched(s, 1);
    assert_string_equal(s->server.range[0], " bytes=123456-");
    assert_int_equal(s->server.body_bytes, SIZE - 123456);
}

static void completes_a_part_that_lacks_nothing(void **state) {
    scene *s = *state;
    write_file(s->part, s->body, SIZE);
    assert_fetched(s, 1);
    assert_int_equal(s->server.body_bytes, 0);
}

static void drops_a_part_of_another_file(void **state) {
    scene *s = *state;
    write_file(s->part, "something else", 14);
    assert_fetched(s, 2);
    assert_string_equal(s->server.range[0], " bytes=14-");
    assert_string_equal(s->server.range[1], "");
}

static void never_goes_on_without_a_hash(void **state) {
    scene *s = *state;
    s->file.hash = NULL;
    write_file(s->part, s->body, 1000);
    assert_fetched(s, 1);
    assert_string_equal(s->server.range[0], "");
}

static void tries_again_a_few_times(void **state) {
    scene *s = *state;
    s->server.status = 503;
    s->server.status_count = SERVER_MAX_REQUESTS;
    assert_refused(s, TLVK_ERROR_FILE, "status 503");
    assert_int_equal(s->server.requests, hasty.tries);
    s->server.status_count = 4;
    assert_fetched(s, 5);
}

static void takes_404_for_an_answer(void **state) {
    scene *s = *state;
    s->server.status = 404;
    s->server.status_count = SERVER_MAX_REQUESTS;
    assert_refused(s, TLVK_ERROR_FILE, "status 404 (not found)");
    assert_int_equal(s->server.requests, 1);
}

static void leaves_a_server_that_stands_still(void **state) {
    scene *s = *state;
    s->server.stalls = 1;
    double began = tlvk__now_seconds();
    assert_fetched(s, 2);
    assert_true(tlvk__now_seconds() - began < 10);
    assert_string_equal(s->server.range[1], " bytes=150000-");
}

static void keeps_the_part_when_cancelled(void **state) {
    scene *s = *state;
    s->cancel_at = 1;
    s->server.stalls = 1; /* so that it is cancelled on the way */
    assert_int_equal(fetch(s), TLVK_ERROR_CANCELLED);
    assert_false(tlvk__is_file(s->path));
    assert_content(s->part, s->body, SIZE / 2);
    s->cancel_at = 0;
    assert_fetched(s, 2);
    assert_string_equal(s->server.range[1], " bytes=150000-");
}

static void says_that_the_disk_is_full(void **state) {
    scene *s = *state;
    if (access("/dev/full", W_OK) != 0)
        skip();
    write_file(s->part, "", 0);
    tlvk__file_remove(s->part);
    assert_int_equal(symlink("/dev/full", s->part), 0);
    assert_refused(s, TLVK_ERROR_FILE, "No space left on device");
    assert_int_equal(s->server.requests, 1);
}

/* --- at once -------------------------------------------------------------------------------------------------------------------------- */

typedef struct second { scene *s; tlvk_status status; } second;

static void *fetch_in_thread(void *user) {
    second *t = user;
    tlvk_context *ctx;
    char *path = NULL;
    t->status = tlvk_context_create(&(tlvk_context_desc){.cache_folder = ""}, &ctx);
    if (!t->status)
        t->status = tlvk__official_fetch(ctx, &t->s->file, &(tlvk__fetch_how){.settings = &hasty}, &path);
    free(path);
    tlvk_context_destroy(ctx);
    return NULL;
}

static void threads_wait_for_each_other(void **state) {
    scene *s = *state;
    second others[3];
    pthread_t threads[3];
    s->server.slow_ms = 200;
    for (int i = 0; i < 3; i++) {
        others[i] = (second){.s = s, .status = TLVK_ERROR_INTERNAL};
        assert_int_equal(pthread_create(&threads[i], NULL, fetch_in_thread, &others[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(others[i].status, TLVK_OK);
    }
    assert_fetched(s, 1);
}

static void processes_wait_for_each_other(void **state) {
    scene *s = *state;
    s->server.slow_ms = 300;
    pid_t pids[2];
    for (int i = 0; i < 2; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            second child = {.s = s, .status = TLVK_ERROR_INTERNAL};
            fetch_in_thread(&child);
            _exit((int)child.status);
        }
        assert_true(pids[i] > 0);
    }
    for (int i = 0; i < 2; i++) {
        int how = -1;
        assert_int_equal(waitpid(pids[i], &how, 0), pids[i]);
        assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    }
    assert_fetched(s, 1);
}

static void waiting_can_be_cancelled(void **state) {
    scene *s = *state;
    tlvk__lock *held = NULL;
    write_file(s->part, "", 0);
    assert_int_equal(tlvk__lock_try(s->lock, &held), TLVK_OK);
    assert_non_null(held);
    tlvk__lock *second_lock = NULL;
    assert_int_equal(tlvk__lock_try(s->lock, &second_lock), TLVK_OK);
    assert_null(second_lock);
    tlvk_cancel(s->ctx);
    char *path;
    assert_int_equal(tlvk__official_fetch(s->ctx, &s->file, NULL, &path), TLVK_ERROR_CANCELLED);
    tlvk__lock_release(held);
    assert_fetched(s, 1);
}

/* --- the registry and the public call --------------------------------------------------------------------------------------------------- */

static void public_call_names_what_there_is(void **state) {
    scene *s = *state;
    char *path = (char *)"";
    assert_int_equal(tlvk_fetch(s->ctx, "vgg61", NULL, &path), TLVK_ERROR_ARGUMENT);
    assert_null(path);
    assert_non_null(strstr(tlvk_last_error(s->ctx), "vgg16 vgg19"));
    assert_int_equal(tlvk_fetch(s->ctx, "mobilenet", &(tlvk_fetch_desc){.alpha = 0.35f}, &path), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk_last_error(s->ctx), "alpha 0.25, 0.5, 0.75, 1 only, got 0.35"));
    assert_int_equal(tlvk_fetch(s->ctx, "mobilenetv2", &(tlvk_fetch_desc){.size = 100}, &path), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk_last_error(s->ctx), "96, 128, 160, 192, 224"));
    assert_int_equal(tlvk_fetch(s->ctx, "vgg16", &(tlvk_fetch_desc){.size = 224}, &path), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_fetch(NULL, "vgg16", NULL, &path), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_fetch(s->ctx, "vgg16", NULL, NULL), TLVK_ERROR_ARGUMENT);
    assert_int_equal(s->server.requests, 0);
}

static void public_call_fetches(void **state) {
    scene *s = *state;
    char *path = NULL;
    const tlvk_fetch_desc desc = {.no_top = true, .alpha = 0.35f, .size = 96, .progress = watch, .user = s};
    assert_int_equal(tlvk_fetch(s->ctx, "mobilenetv2", &desc, &path), TLVK_OK);
    assert_string_equal(s->server.path[0], "/tensorflow/keras-applications/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96_no_top.h5");
    assert_content(path, s->body, SIZE);
    assert_int_equal(s->done, SIZE);
    tlvk__file_remove(path);
    tlvk_free(path);
}

/* An index of the form of ImageNet's: class i is called class_i. malloc'd. */
static char *make_index(void) {
    char *text = malloc(100000), *end = text;
    for (int i = 0; i < 1000; i++)
        end += sprintf(end, "%s\"%d\": [\"n%08d\", \"class_%d\"]", i ? ", " : "{", i, i * 3, i);
    sprintf(end, "}");
    return text;
}

static void remove_model_file(const scene *s, const char *name) {
    char *path = tlvk__format("%s/models/%s", s->home, name);
    tlvk__file_remove(path);
    free(path);
}

static void networks_fetch_their_weights(void **state) {
    scene *s = *state;
    tlvk_net_desc desc = {.alpha = 0.25f, .input_shape = {128, 128, 3}, .seed = 3};
    tlvk_model *model = NULL;
    void *body;
    tlvk_usage usage;
    write_file(s->path, "", 0); /* makes the folder */
    assert_int_equal(tlvk_net(s->ctx, "mobilenet", &desc, &model), TLVK_OK);
    assert_int_equal(tlvk_model_save_weights(model, s->path), TLVK_OK);
    tlvk_model_destroy(model);
    assert_int_equal(tlvk__file_read(s->path, &body, &s->server.size, (size_t)1 << 24), TLVK_OK);
    s->server.body = body;
    desc = (tlvk_net_desc){.weights = "imagenet", .alpha = 0.25f, .input_shape = {128, 128, 3}, .fetch_progress = watch, .fetch_user = s};
    assert_int_equal(tlvk_net(s->ctx, "mobilenet", &desc, &model), TLVK_OK);
    assert_string_equal(s->server.path[0], "/tensorflow/keras-applications/mobilenet/mobilenet_2_5_128_tf.h5");
    assert_int_equal(s->done, s->server.size);
    tlvk_model_usage(model, &usage);
    assert_int_equal(usage.class_count, 0);
    assert_int_equal(usage.preprocess, TLVK_PREPROCESS_TF);
    tlvk_model_destroy(model);

    char *index = make_index(), *place = tlvk__format("%s/models/imagenet_class_index.json", s->home);
    write_file(place, index, strlen(index));
    assert_int_equal(tlvk_net(s->ctx, "mobilenet", &desc, &model), TLVK_OK);
    assert_int_equal(s->server.requests, 1);
    tlvk_model_usage(model, &usage);
    assert_int_equal(usage.class_count, 1000);
    assert_string_equal(usage.class_names[999], "class_999");
    tlvk_model_destroy(model);
    write_file(place, "[]", 2);
    assert_int_equal(tlvk_net(s->ctx, "mobilenet", &desc, &model), TLVK_OK);
    assert_non_null(strstr(s->said, "classes stay without names"));
    tlvk_model_destroy(model);

    desc.no_top = true;
    desc.input_shape[0] = 96; /* no official size; what the server gives has a classifier, which does not fit */
    assert_int_equal(tlvk_net(s->ctx, "mobilenet", &desc, &model), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(s->said, "those for (224, 224) are loaded"));
    assert_string_equal(s->server.path[1], "/tensorflow/keras-applications/mobilenet/mobilenet_2_5_224_tf_no_top.h5");
    remove_model_file(s, "mobilenet_2_5_128_tf.h5");
    remove_model_file(s, "mobilenet_2_5_224_tf_no_top.h5");
    remove_model_file(s, "imagenet_class_index.json");
    free(body);
    free(index);
    free(place);
}

static void class_index_is_read(void **state) {
    scene *s = *state;
    char *text = make_index();
    const char **names;
    int count;
    write_file(s->path, text, strlen(text));
    assert_int_equal(tlvk__class_index_read(s->path, &names, &count), TLVK_OK);
    assert_int_equal(count, 1000);
    assert_string_equal(names[0], "class_0");
    assert_string_equal(names[999], "class_999");
    free(names);
    static const char *const wrong[] = {"", "[]", "{}", "{\"0\": \"tench\"}", "{\"0\": [\"n\", 5]}", "{\"0\": [\"n\"]}", "nonsense"};
    for (size_t i = 0; i < TLVK__COUNT(wrong); i++) {
        write_file(s->path, wrong[i], strlen(wrong[i]));
        assert_int_equal(tlvk__class_index_read(s->path, &names, &count), TLVK_ERROR_FORMAT);
        assert_null(names);
    }
    tlvk__file_remove(s->path);
    assert_int_equal(tlvk__class_index_read(s->path, &names, &count), TLVK_ERROR_FILE);
    free(text);
}

static void says_that_it_was_built_without(void **state) {
    assert_refused(*state, TLVK_ERROR_FILE, "built without libcurl");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(fetches_once), CASE(follows_redirects), CASE(ends_redirect_loops), CASE(takes_a_length_that_nobody_told), CASE(refuses_a_wrong_hash),
        CASE(checks_sha256), CASE(looks_at_files_without_a_hash), CASE(replaces_a_damaged_file), CASE(says_where_the_file_belongs),
        CASE(goes_on_after_a_cut), CASE(starts_again_without_ranges), CASE(leaves_a_server_that_gets_nowhere),
        CASE(starts_again_when_the_file_changed), CASE(starts_again_when_ranges_lie),
        CASE(goes_on_with_an_earlier_part), CASE(completes_a_part_that_lacks_nothing), CASE(drops_a_part_of_another_file),
        CASE(never_goes_on_without_a_hash), CASE(tries_again_a_few_times), CASE(takes_404_for_an_answer), CASE(leaves_a_server_that_stands_still),
        CASE(keeps_the_part_when_cancelled), CASE(says_that_the_disk_is_full), CASE(threads_wait_for_each_other), CASE(processes_wait_for_each_other),
        CASE(waiting_can_be_cancelled), CASE(public_call_names_what_there_is), CASE(public_call_fetches), CASE(networks_fetch_their_weights),
        CASE(class_index_is_read),
    };
    const struct CMUnitTest without[] = {CASE(says_that_it_was_built_without), CASE(public_call_names_what_there_is), CASE(class_index_is_read)};
    return tlvk__can_transfer() ? cmocka_run_group_tests(tests, NULL, NULL) : cmocka_run_group_tests(without, NULL, NULL);
}
