/* test_archive.c - pictures in .zip, .tar and .tar.gz: the same samples as from the folder that was packed, bit by bit; and hostile archives. The
 * archives are made here with libarchive, the damaged ones from those by a seeded generator. */
#include "data/archive.h"
#include "data/dataset.h"
#include "support/pictures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const tlvk_image_folder_desc small = {.image_size = {8, 9}};

static char *archive_path(const char *name) {
    char *folder = test_folder("archives"), *path = tlvk__format("%s/%s", folder, name);
    free(folder);
    return path;
}

static void write_archive(const char *path, const void *bytes, size_t size) { assert_int_equal(tlvk__file_replace(path, bytes, size), TLVK_OK); }

static void assert_refused(const char *path, tlvk_status status, const char *words) {
    tlvk_image_folder_desc desc = small;
    tlvk_dataset *d = NULL;
    desc.path = path;
    assert_int_equal(tlvk_image_dataset_from_directory(NULL, &desc, &d), status);
    assert_null(d);
    if (!strstr(tlvk_last_error(NULL), words))
        fail_msg("\"%s\" is not in \"%s\"", words, tlvk_last_error(NULL));
}

#if TLVK_WITH_ARCHIVE
#include <archive.h>
#include <archive_entry.h>

/* --- making archives -------------------------------------------------------------------------------------------------------------- */

typedef struct packer { struct archive *a; void *names; } packer;

static const char *const kinds[] = {"pets.zip", "pets.tar", "pets.tar.gz", "stored.zip", "pets.TGZ"};

static packer pack_begin(const char *path) {
    packer p = {archive_write_new(), tlvk__utf8_names_begin()}; /* so that names are marked as UTF-8; they are read in the "C" locale */
    size_t n = strlen(path);
    bool zip = n > 4 && strcmp(path + n - 4, ".zip") == 0;
    bool gz = strstr(path, ".tar.gz") || strstr(path, ".TGZ");
    assert_int_equal(zip ? archive_write_set_format_zip(p.a) : archive_write_set_format_pax_restricted(p.a), ARCHIVE_OK);
    if (zip && strstr(path, "stored"))
        assert_int_equal(archive_write_set_options(p.a, "zip:compression=store"), ARCHIVE_OK);
    if (gz)
        assert_int_equal(archive_write_add_filter_gzip(p.a), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(p.a, path), ARCHIVE_OK);
    return p;
}

static void pack_entry(packer *p, const char *name, unsigned type, const char *link, const void *bytes, size_t size) {
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, name);
    archive_entry_set_filetype(e, type);
    archive_entry_set_perm(e, type == AE_IFDIR ? 0755 : 0644);
    archive_entry_set_size(e, (la_int64_t)size);
    if (link && type == AE_IFLNK)
        archive_entry_set_symlink(e, link);
    else if (link)
        archive_entry_set_hardlink(e, link);
    assert_int_equal(archive_write_header(p->a, e), ARCHIVE_OK);
    if (size > 0)
        assert_int_equal(archive_write_data(p->a, bytes, size), size);
    archive_entry_free(e);
}

static void pack_file(packer *p, const char *name, const void *bytes, size_t size) { pack_entry(p, name, AE_IFREG, NULL, bytes, size); }

static void pack_picture(packer *p, const char *name, int number) {
    char *folder = test_folder("archive-picture"), *path = tlvk__format("%s/one.bmp", folder);
    void *bytes;
    size_t size;
    test_write_picture(folder, "one.bmp", number);
    assert_int_equal(tlvk__file_read(path, &bytes, &size, 1 << 20), TLVK_OK);
    pack_file(p, name, bytes, size);
    free(bytes);
    free(path);
    free(folder);
}

static void pack_end(packer *p) {
    assert_int_equal(archive_write_close(p->a), ARCHIVE_OK);
    archive_write_free(p->a);
    tlvk__utf8_names_end(p->names);
}

/* What a dataset of folders may meet, in no order. */
static const char *const files[] = {
    "train/dogs/b.png", "train/10/.hidden.png", "train/10/deep-1/d.bmp", "train/10/deep/c.jpg", "train/10/b.jpeg", "train/2/f.BMP", "train/dogs/a.png",
    "train/10/.dots/h.gif", "train/2/g.Jpg", "train/10/deep/in/e.gif", "train/10/a.PNG", "train/dogs/10.png", "train/dogs/2.png", "train/dogs/1.png",
    "val/2/x.png", "val/10/y.png", "val/dogs/\xC3\xA4.png",
};
static const char *const others[] = {"train/.git/x.png", "train/loose.png", "train/10/note.txt", "train/2/picture.webp", "readme"};

static char *make_folder(void) {
    char *folder = test_folder("archive-tree");
    for (size_t i = 0; i < TLVK__COUNT(files); i++)
        test_write_picture(folder, files[i], (int)i);
    for (size_t i = 0; i < TLVK__COUNT(others); i++)
        test_write_picture(folder, others[i], 99);
    return folder;
}

static void pack_tree(const char *path, bool as_macos) {
    char *folder = make_folder();
    packer p = pack_begin(path);
    if (as_macos)
        pack_entry(&p, "./train/", AE_IFDIR, NULL, NULL, 0);
    for (size_t i = 0; i < TLVK__COUNT(files) + TLVK__COUNT(others); i++) {
        const char *name = i < TLVK__COUNT(files) ? files[i] : others[i - TLVK__COUNT(files)];
        char *source = tlvk__format("%s/%s", folder, name), *inside = tlvk__format(as_macos ? "./%s" : "%s", name);
        void *bytes;
        size_t size;
        assert_int_equal(tlvk__file_read(source, &bytes, &size, 1 << 20), TLVK_OK);
        pack_file(&p, inside, bytes, size);
        free(bytes);
        free(source);
        free(inside);
    }
    if (as_macos) {
        pack_file(&p, "__MACOSX/train/dogs/._a.png", "macOS", 5);
        pack_file(&p, "__MACOSX/x/._b.png", "macOS", 5);
    }
    pack_end(&p);
    free(folder);
}

/* --- comparing with the folder ------------------------------------------------------------------------------------------------------- */

static tlvk_dataset *open_set(tlvk_image_folder_desc desc, const char *path) {
    tlvk_dataset *d = NULL;
    desc.path = path;
    if (tlvk_image_dataset_from_directory(NULL, &desc, &d))
        fail_msg("%s", tlvk_last_error(NULL));
    return d;
}

static void assert_same_sets(tlvk_dataset *a, const char *a_root, tlvk_dataset *b, const char *b_root) {
    assert_int_equal(tlvk_dataset_size(a), tlvk_dataset_size(b));
    assert_int_equal(tlvk_dataset_class_count(a), tlvk_dataset_class_count(b));
    for (int i = 0; i < tlvk_dataset_class_count(a); i++)
        assert_string_equal(tlvk_dataset_class_name(a, i), tlvk_dataset_class_name(b, i));
    float x[8 * 9 * 3], y[8 * 9 * 3];
    for (int64_t i = 0; i < tlvk_dataset_size(a); i++) {
        const char *p = tlvk_dataset_path(a, i), *q = tlvk_dataset_path(b, i);
        assert_memory_equal(p, a_root, strlen(a_root));
        assert_memory_equal(q, b_root, strlen(b_root));
        assert_string_equal(p + strlen(a_root), q + strlen(b_root));
        assert_int_equal(tlvk_dataset_label(a, i), tlvk_dataset_label(b, i));
        tlvk__hash h, k, again;
        assert_int_equal(tlvk__dataset_decode(a, i, x, &h), TLVK_OK);
        assert_int_equal(tlvk__dataset_decode(b, i, y, &k), TLVK_OK);
        assert_memory_equal(x, y, sizeof x);
        assert_memory_equal(&h, &k, sizeof h);
        assert_int_equal(tlvk__dataset_sample_hash(a, i, &again), TLVK_OK);
        assert_memory_equal(&h, &again, sizeof h);
    }
}

static void equals_the_folder(void **state) {
    (void)state;
    char *folder = make_folder(), *train = tlvk__format("%s/train", folder);
    for (size_t k = 0; k < TLVK__COUNT(kinds); k++) {
        for (int macos = 0; macos < 2; macos++) {
            char *path = archive_path(kinds[k]), *inside = tlvk__format("%s//train", path), *slashes = tlvk__format("%s//train/", path);
            pack_tree(path, macos != 0);
            tlvk_image_folder_desc descs[4] = {small, small, small, small};
            descs[1].no_shuffle = true;
            descs[2].validation_split = descs[3].validation_split = 0.3;
            descs[2].subset = TLVK_SUBSET_TRAINING;
            descs[3].subset = TLVK_SUBSET_VALIDATION;
            descs[2].seed = descs[3].seed = 5;
            for (size_t i = 0; i < TLVK__COUNT(descs); i++) {
                tlvk_dataset *a = open_set(descs[i], inside), *b = open_set(descs[i], train);
                assert_same_sets(a, inside, b, train);
                tlvk_dataset_destroy(a);
                a = open_set(descs[i], slashes);
                assert_same_sets(a, inside, b, train);
                tlvk_dataset_destroy(a);
                tlvk_dataset_destroy(b);
            }
            free(path);
            free(inside);
            free(slashes);
        }
    }
    free(folder);
    free(train);
}

static void takes_the_root(void **state) {
    (void)state;
    char *path = archive_path("root.zip"), *inside = tlvk__format("%s//", path), *folder = make_folder(), *train = tlvk__format("%s/train", folder);
    packer p = pack_begin(path);
    pack_picture(&p, "b/1.png", 3);
    pack_picture(&p, "a/1.png", 4);
    pack_entry(&p, "c/", AE_IFDIR, NULL, NULL, 0); /* a class without pictures, as an empty folder is */
    pack_entry(&p, "a/", AE_IFDIR, NULL, NULL, 0);
    pack_picture(&p, "a-b/1.png", 5); /* between "a" and "a/1.png" */
    pack_picture(&p, "__MACOSX/a/._1.png", 6);
    pack_end(&p);
    static const char *const classes[] = {"a", "a-b", "b", "c"};
    tlvk_dataset *d = open_set(small, path);
    assert_int_equal(tlvk_dataset_size(d), 3);
    assert_int_equal(tlvk_dataset_class_count(d), TLVK__COUNT(classes));
    for (int i = 0; i < (int)TLVK__COUNT(classes); i++)
        assert_string_equal(tlvk_dataset_class_name(d, i), classes[i]);
    tlvk_dataset_destroy(d);
    tlvk_image_folder_desc plain = small;
    plain.unlabeled = plain.no_shuffle = true;
    d = open_set(plain, inside);
    assert_int_equal(tlvk_dataset_size(d), 3);
    assert_string_equal(tlvk_dataset_path(d, 1) + strlen(inside), "a-b/1.png");
    tlvk_dataset_destroy(d);
    free(path);
    free(inside);
    free(folder);
    free(train);
}

static void takes_single_pictures(void **state) {
    (void)state;
    char *path = archive_path("some.tar.gz"), *folder = make_folder();
    pack_tree(path, false);
    char *names[5] = {tlvk__format("%s//train/dogs/a.png", path), tlvk__format("%s/train/dogs/b.png", folder), tlvk__format("%s//train/2/f.BMP", path),
                      tlvk__format("%s//train/dogs/a.png", path), tlvk__format("%s//train/dogs/none.png", path)};
    tlvk_dataset *d = NULL;
    assert_int_equal(tlvk_image_dataset_from_files(NULL, (const char *const *)names, 5, &small, &d), TLVK_OK);
    float x[5][8 * 9 * 3], plain[8 * 9 * 3];
    for (int i = 0; i < 4; i++)
        assert_int_equal(tlvk__dataset_decode(d, i, x[i], NULL), TLVK_OK);
    assert_memory_equal(x[0], x[3], sizeof x[0]);
    static const char *const same[] = {"train/dogs/a.png", "train/dogs/b.png", "train/2/f.BMP"};
    for (int i = 0; i < 3; i++) {
        char *file = tlvk__format("%s/%s", folder, same[i]);
        assert_int_equal(tlvk__picture_read(&d->spec, file, plain, NULL), TLVK_OK);
        assert_memory_equal(plain, x[i], sizeof plain);
        free(file);
    }
    assert_int_equal(tlvk__dataset_decode(d, 4, x[4], NULL), TLVK_ERROR_FORMAT);
    assert_non_null(strstr(tlvk__fail_text(), "none.png: no such file in the archive"));
    tlvk_dataset_destroy(d);
    for (int i = 0; i < 5; i++)
        free(names[i]);
    free(path);
    free(folder);
}

/* Archives that memory is too small for go to a file without a name. */
static void spills_to_a_file(void **state) {
    (void)state;
    char *path = archive_path("spilt.zip"), *inside = tlvk__format("%s//train", path), *cache = test_folder("archive-cache");
    pack_tree(path, false);
    tlvk_context *ctx;
    assert_int_equal(tlvk_context_create(&(tlvk_context_desc){.cache_folder = cache}, &ctx), TLVK_OK);
    tlvk_dataset *a = open_set(small, inside), *b = open_set(small, inside);
    tlvk__store_destroy(b->store);
    b->store = NULL;
    assert_int_equal(tlvk__dataset_take_archived(ctx, b, NULL, 0), TLVK_OK);
    assert_same_sets(a, inside, b, inside);
    tlvk__dir_entry *entries;
    size_t count;
    assert_int_equal(tlvk__list_folder(cache, &entries, &count), TLVK_OK);
    assert_int_equal(count, 0);
    tlvk__dir_entries_free(entries, count);
    tlvk__store_destroy(b->store);
    b->store = NULL;
    assert_int_equal(tlvk__dataset_take_archived(NULL, b, NULL, 0), TLVK_ERROR_MEMORY);
    assert_non_null(strstr(tlvk__fail_text(), "unpack the archive"));
    tlvk_dataset_destroy(a);
    tlvk_dataset_destroy(b);
    tlvk_context_destroy(ctx);
    free(path);
    free(inside);
    free(cache);
}

/* The reader's workers share the store: batches are the same with any number of them. */
static void workers_share_it(void **state) {
    (void)state;
    char *path = archive_path("shared.tar.gz"), *inside = tlvk__format("%s//train", path);
    pack_tree(path, false);
    tlvk_dataset *d = open_set(small, inside);
    float one[14][8 * 9 * 3], many[14][8 * 9 * 3];
    for (int threads = 1; threads <= 8; threads += 7) {
        tlvk__reader *r = NULL;
        int64_t valid = 0;
        float *x[1] = {threads == 1 ? one[0] : many[0]};
        assert_int_equal(tlvk__reader_create(d, &(tlvk__reader_desc){.batch = 14, .threads = threads, .hash = true}, &r), TLVK_OK);
        assert_int_equal(tlvk__reader_next(r, x, NULL, NULL, &valid), TLVK_OK);
        assert_int_equal(valid, 14);
        tlvk__reader_destroy(r);
    }
    assert_memory_equal(one, many, sizeof one);
    tlvk_dataset_destroy(d);
    free(path);
    free(inside);
}

/* --- what is refused ------------------------------------------------------------------------------------------------------------------- */

static void suggests_the_folder_inside(void **state) {
    (void)state;
    for (size_t k = 0; k < 3; k++) {
        char *path = archive_path(kinds[k]), *right = tlvk__format("%s//pets", path);
        packer p = pack_begin(path);
        pack_picture(&p, "pets/cat/1.png", 1);
        pack_picture(&p, "pets/dog/1.png", 1);
        pack_end(&p);
        char *words = tlvk__format("say %s to take them for classes", right);
        assert_refused(path, TLVK_ERROR_DATA, words);
        tlvk_dataset *d = open_set(small, right);
        assert_int_equal(tlvk_dataset_class_count(d), 2);
        tlvk_dataset_destroy(d);
        free(path);
        free(right);
        free(words);
    }
}

static void names_what_is_not_there(void **state) {
    (void)state;
    char *path = archive_path("there.zip"), *no_folder = tlvk__format("%s//test", path), *file = tlvk__format("%s//train/dogs/a.png", path);
    char *no_archive = archive_path("nowhere.zip//train"), *folder = test_folder("archives/folder.zip"), *below = tlvk__format("%s//train", folder);
    char *text = archive_path("text.zip");
    pack_tree(path, false);
    write_archive(text, "no archive at all", 17);
    assert_refused(no_folder, TLVK_ERROR_FILE, "no such folder in the archive");
    assert_refused(file, TLVK_ERROR_FILE, "a file, expected a folder of pictures");
    assert_refused(no_archive, TLVK_ERROR_FILE, "nowhere.zip: no such archive");
    assert_refused(below, TLVK_ERROR_FILE, "no such folder"); /* a folder that is called like an archive is one */
    assert_refused(text, TLVK_ERROR_FORMAT, "not a whole .zip, .tar or .tar.gz file");
    free(path);
    free(no_folder);
    free(file);
    free(no_archive);
    free(folder);
    free(below);
    free(text);
}

static void refuses_names_outside(void **state) {
    (void)state;
    static const struct { const char *name, *words; } cases[] = {
        {"../../a/out.png", "outside of itself, \"../../a/out.png\""}, {"a/../../out.png", "outside of itself"}, {"a/..", "outside of itself"},
        {"/etc/out.png", "absolute name, \"/etc/out.png\""},
    };
    for (size_t k = 0; k < 3; k++) {
        for (size_t i = 0; i < TLVK__COUNT(cases); i++) {
            char *path = archive_path(kinds[k]);
            packer p = pack_begin(path);
            pack_picture(&p, "a/in.png", 1);
            pack_picture(&p, cases[i].name, 1);
            pack_end(&p);
            assert_refused(path, TLVK_ERROR_FORMAT, cases[i].words);
            free(path);
        }
    }
}

static void follows_no_links(void **state) {
    (void)state;
    char *path = archive_path("links.tar");
    for (int hard = 0; hard < 2; hard++) {
        packer p = pack_begin(path);
        pack_picture(&p, "a/1.png", 1);
        pack_picture(&p, "b/1.png", 1);
        pack_entry(&p, "a/other", AE_IFLNK, "/etc", NULL, 0); /* no picture's name: as in a folder, of no interest */
        if (!hard) {
            pack_entry(&p, "a/2.png", AE_IFLNK, "/etc/passwd", NULL, 0);
        } else {
            pack_entry(&p, "a/2.png", AE_IFREG, "a/1.png", NULL, 0);
        }
        pack_end(&p);
        assert_refused(path, TLVK_ERROR_FORMAT, "//a/2.png: a link");
    }
    free(path);
}

static void refuses_bombs(void **state) {
    (void)state;
    size_t size = (size_t)1 << 27;
    uint8_t *zeros = calloc(1, size);
    for (size_t k = 0; k < 3; k += 2) { /* zip and tar.gz */
        char *path = archive_path(kinds[k]);
        packer p = pack_begin(path);
        for (int i = 0; i < 9; i++) { /* 1.1 GB in about a megabyte */
            char name[32];
            snprintf(name, sizeof name, "a/%d.bmp", i);
            pack_file(&p, name, zeros, size);
        }
        pack_end(&p);
        assert_refused(path, TLVK_ERROR_FORMAT, "refused as a bomb");
        tlvk__file_remove(path);
        free(path);
    }
    free(zeros);
}

/* What is no file may have contents too, and these are unpacked to get behind them: GNU tar's list of a folder ('D'), of 2 GiB. */
static void refuses_bombs_beside_files(void **state) {
    (void)state;
    char *path = archive_path(kinds[1]), tar[1536] = "a/list";
    unsigned sum = 0;
    snprintf(tar + 100, 8, "0000644");
    snprintf(tar + 124, 12, "%011o", 1u << 31);
    snprintf(tar + 136, 12, "%011o", 0u);
    memset(tar + 148, ' ', 8);
    tar[156] = 'D';
    memcpy(tar + 257, "ustar  ", 8);
    for (int i = 0; i < 512; i++)
        sum += (unsigned char)tar[i];
    snprintf(tar + 148, 8, "%06o", sum);
    write_archive(path, tar, sizeof tar);
    assert_refused(path, TLVK_ERROR_FORMAT, "refused as a bomb");
    free(path);
}

static void refuses_deep_folders(void **state) {
    (void)state;
    for (size_t k = 0; k < 3; k++) {
        char *path = archive_path(kinds[k]), name[300] = "";
        for (int i = 0; i < 63; i++)
            strcat(name, "d/");
        strcat(name, "1.png");
        for (int deeper = 0; deeper < 2; deeper++) {
            packer p = pack_begin(path);
            pack_picture(&p, "a/1.png", 1);
            pack_picture(&p, name, 1);
            pack_end(&p);
            if (deeper) {
                assert_refused(path, TLVK_ERROR_FORMAT, "more than 63 folders deep");
            } else {
                tlvk_dataset *d = open_set(small, path);
                assert_int_equal(tlvk_dataset_size(d), 2);
                tlvk_dataset_destroy(d);
            }
            memmove(name + 2, name, strlen(name) + 1);
        }
        free(path);
    }
}

static void keeps_the_last_of_one_name(void **state) {
    (void)state;
    char *path = archive_path("twice.tar"), *folder = test_folder("archive-picture"), *file = tlvk__format("%s/9.bmp", folder);
    packer p = pack_begin(path);
    pack_picture(&p, "a/1.png", 1);
    pack_picture(&p, "b/1.png", 2);
    pack_picture(&p, "./a//1.png", 9);
    pack_end(&p);
    test_write_picture(folder, "9.bmp", 9);
    tlvk_image_folder_desc desc = small;
    desc.no_shuffle = true;
    tlvk_dataset *d = open_set(desc, path);
    float x[8 * 9 * 3], y[8 * 9 * 3];
    assert_int_equal(tlvk_dataset_size(d), 2);
    assert_int_equal(tlvk__dataset_decode(d, 0, x, NULL), TLVK_OK);
    assert_int_equal(tlvk__picture_read(&d->spec, file, y, NULL), TLVK_OK);
    assert_memory_equal(x, y, sizeof x);
    tlvk_dataset_destroy(d);
    free(path);
    free(folder);
    free(file);
}

/* An empty zip entry's header with the bit for encryption set, in both tables. */
static void refuses_encrypted_entries(void **state) {
    (void)state;
    char *path = archive_path("stored.zip");
    packer p = pack_begin(path);
    pack_picture(&p, "a/1.png", 1);
    pack_end(&p);
    void *data;
    size_t size;
    assert_int_equal(tlvk__file_read(path, &data, &size, 1 << 20), TLVK_OK);
    uint8_t *b = data;
    for (size_t i = 0; i + 8 < size; i++) {
        if (memcmp(b + i, "PK\3\4", 4) == 0)
            b[i + 6] |= 1;
        else if (memcmp(b + i, "PK\1\2", 4) == 0)
            b[i + 8] |= 1;
    }
    write_archive(path, data, size);
    assert_refused(path, TLVK_ERROR_UNSUPPORTED, "\"a/1.png\" is encrypted");
    free(data);
    free(path);
}

/* A flipped byte in one stored picture: its checksum tells, the others stay. */
static void leaves_a_damaged_picture_out(void **state) {
    (void)state;
    char *path = archive_path("stored.zip");
    packer p = pack_begin(path);
    for (int i = 0; i < 5; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s/%d.bmp", i % 2 ? "a" : "b", i);
        pack_picture(&p, name, i);
    }
    pack_end(&p);
    void *data;
    size_t size;
    assert_int_equal(tlvk__file_read(path, &data, &size, 1 << 20), TLVK_OK);
    uint8_t *b = data;
    size_t seen = 0, i = 0;
    for (; i + 4 < size && seen < 3; i++)
        seen += memcmp(b + i, "PK\3\4", 4) == 0;
    b[i + 120] ^= 1; /* in the third picture */
    write_archive(path, data, size);
    tlvk_image_folder_desc desc = small;
    desc.no_shuffle = true;
    tlvk_dataset *d = open_set(desc, path);
    assert_int_equal(tlvk_dataset_size(d), 5);
    int bad = 0;
    for (int64_t k = 0; k < 5; k++) {
        float x[8 * 9 * 3];
        if (tlvk__dataset_decode(d, k, x, NULL)) {
            bad++;
            assert_non_null(strstr(tlvk_dataset_path(d, k), "b/2.bmp"));
            assert_non_null(strstr(tlvk__fail_text(), "damaged in its archive"));
        }
    }
    assert_int_equal(bad, 1);
    tlvk_dataset_destroy(d);
    free(data);
    free(path);
}

static void refuses_cut_archives(void **state) {
    (void)state;
    for (size_t k = 0; k < 3; k++) {
        char *path = archive_path(kinds[k]), *inside = tlvk__format("%s//train", path);
        void *data;
        size_t size;
        pack_tree(path, false);
        assert_int_equal(tlvk__file_read(path, &data, &size, 1 << 20), TLVK_OK);
        for (size_t part = 1; part < 8; part++) {
            write_archive(path, data, size * part / 9);
            tlvk_image_folder_desc desc = small;
            desc.path = inside;
            tlvk_dataset *d = NULL;
            tlvk_status st = tlvk_image_dataset_from_directory(NULL, &desc, &d);
            assert_null(d);
            assert_true(st == TLVK_ERROR_FORMAT || st == TLVK_ERROR_FILE);
            assert_non_null(strstr(tlvk_last_error(NULL), path));
        }
        free(data);
        free(path);
        free(inside);
    }
}

/* 1,200 damaged archives: an answer or an error by name for each. A crash or a sanitizer's word ends the test. */
static void survives_mutation(void **state) {
    (void)state;
    tlvk__rng rng;
    tlvk__rng_seed(&rng, 11, 0);
    int opened = 0, refused = 0;
    for (size_t k = 0; k < 4; k++) {
        char *path = archive_path(kinds[k]), *inside = tlvk__format("%s//train", path);
        void *data;
        size_t size;
        pack_tree(path, k % 2 != 0);
        assert_int_equal(tlvk__file_read(path, &data, &size, 1 << 20), TLVK_OK);
        uint8_t *copy = malloc(size);
        for (int i = 0; i < 300; i++) {
            memcpy(copy, data, size);
            size_t length = size, flips = (size_t)tlvk__rng_below(&rng, 8) + 1;
            /* Half of them near the end, where a zip has its table of contents. */
            for (size_t f = 0; f < flips; f++) {
                size_t at = i % 2 ? (size_t)tlvk__rng_below(&rng, size) : size - 1 - (size_t)tlvk__rng_below(&rng, TLVK__MIN(size, 2000));
                copy[at] = (uint8_t)(i % 3 ? tlvk__rng_u32(&rng) : copy[at] ^ 1u << tlvk__rng_below(&rng, 8));
            }
            if (i % 5 == 0)
                length = (size_t)tlvk__rng_below(&rng, size);
            write_archive(path, copy, length);
            tlvk_image_folder_desc desc = small;
            desc.path = i % 7 ? inside : path;
            tlvk_dataset *d = NULL;
            tlvk_status st = tlvk_image_dataset_from_directory(NULL, &desc, &d);
            opened += st == TLVK_OK;
            refused += st != TLVK_OK;
            assert_true(st == TLVK_OK || tlvk_last_error(NULL)[0]);
            for (int64_t s = 0; s < tlvk_dataset_size(d); s++) {
                float x[8 * 9 * 3];
                if (tlvk__dataset_decode(d, s, x, NULL))
                    assert_true(tlvk__fail_text()[0]);
            }
            tlvk_dataset_destroy(d);
        }
        free(copy);
        free(data);
        free(path);
        free(inside);
    }
    assert_true(opened > 100 && refused > 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_folder), cmocka_unit_test(takes_the_root), cmocka_unit_test(takes_single_pictures), cmocka_unit_test(spills_to_a_file),
        cmocka_unit_test(workers_share_it), cmocka_unit_test(suggests_the_folder_inside), cmocka_unit_test(names_what_is_not_there),
        cmocka_unit_test(refuses_names_outside), cmocka_unit_test(follows_no_links), cmocka_unit_test(refuses_bombs),
        cmocka_unit_test(refuses_bombs_beside_files), cmocka_unit_test(refuses_deep_folders),
        cmocka_unit_test(keeps_the_last_of_one_name), cmocka_unit_test(refuses_encrypted_entries), cmocka_unit_test(leaves_a_damaged_picture_out),
        cmocka_unit_test(refuses_cut_archives), cmocka_unit_test(survives_mutation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void says_that_it_was_built_without(void **state) {
    (void)state;
    char *path = archive_path("any.zip");
    write_archive(path, "PK", 2);
    assert_refused(path, TLVK_ERROR_UNSUPPORTED, "built without libarchive");
    free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(says_that_it_was_built_without)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
