/* A mounted export that outlives its connection.

   libnfs gives up an NFSv4 connection for good, so nothing here lasts longer than a "generation":
   a lost one is followed by a new context, in which open files are opened, and locks taken, again when they are next used. */
#define FUSE_USE_VERSION 26
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>
#include <fuse.h>

enum { TIMEOUT_MS = 5000, RECOVERIES = 5, RENEW_S = 2, MAX_GROUPS = 16 };

struct credentials {
    uint32_t uid, gid, groups[MAX_GROUPS], count;
};

struct file {
    char *path;
    int flags;
    struct credentials owner;
    struct nfsfh *handle;
    unsigned generation;
    /* libnfs keeps one lock owner a context, so a file that is locked gets a context of its own */
    struct nfs_context *lock_context;
    struct nfsfh *lock_handle;
    struct nfs4_flock held;
    int holds;
    struct file *next;
};

static const struct options *mounted;
static struct nfs_context *context;
static unsigned generation = 1;
static struct file *files;
static pthread_mutex_t busy = PTHREAD_MUTEX_INITIALIZER;

static int connect_to_export(struct nfs_context **made)
{
    static unsigned count;
    char url[8192], name[64], verifier[9];
    struct nfs_context *nfs = nfs_init_context();
    if (!nfs)
        return -ENOMEM;
    snprintf(url, sizeof url, "nfs://%s/?version=%d&nfsport=%d", mounted->server, mounted->version, mounted->port);
    if (mounted->mount_port)
        snprintf(url + strlen(url), sizeof url - strlen(url), "&mountport=%d", mounted->mount_port);
    struct nfs_url *parsed = nfs_parse_url_dir(nfs, url);
    if (!parsed) {
        nfs_destroy_context(nfs);
        return -EINVAL;
    }
    if (mounted->version == 4) {
        char host[40] = "";
        gethostname(host, sizeof host - 1);
        snprintf(name, sizeof name, "%s-%d-%u", host, getpid(), ++count);
        snprintf(verifier, sizeof verifier, "%08x", (unsigned)getpid());
        nfs4_set_client_name(nfs, name);
        nfs4_set_verifier(nfs, verifier);
    }
    nfs_set_timeout(nfs, TIMEOUT_MS);
    nfs_set_autoreconnect(nfs, 0);
    int result = nfs_mount(nfs, parsed->server, mounted->path);
    nfs_destroy_url(parsed);
    if (result < 0) {
        const char *why = nfs_get_error(nfs);
        if (getenv("MOUNT_NFS_VERBOSE"))
            fprintf(stderr, "mount.nfs: %d: %s\n", result, why ? why : "");
        nfs_destroy_context(nfs);
        return result;
    }
    nfs_set_autoreconnect(nfs, 0);
    *made = nfs;
    return 0;
}

int session_start(const struct options *options)
{
    mounted = options;
    return connect_to_export(&context);
}

static int is_loss(int error)
{
    switch (error) {
    case -EIO:
    case -ETIMEDOUT:
    case -ECONNRESET:
    case -ENOTCONN:
    case -EPIPE:
    case -EFAULT:
    case -ESTALE:
    case -EBADF:
    case -EINTR:
    case -ERANGE: /* what libnfs makes of NFS4ERR_EXPIRED and its like, which it does not know */
        return 1;
    default:
        return 0;
    }
}

/* A server that came back opens and locks no files for a while, but for clients that reclaim theirs, which libnfs cannot. */
static int is_grace(struct nfs_context *nfs, int error)
{
    const char *why = nfs_get_error(nfs);
    return error == -ERANGE && why && strstr(why, "NFS4ERR_GRACE");
}

static void wait_a_second(void)
{
    pthread_mutex_unlock(&busy);
    sleep(1);
    pthread_mutex_lock(&busy);
}

static void recover(void)
{
    struct nfs_context *fresh;
    while (connect_to_export(&fresh) < 0)
        wait_a_second();
    nfs_destroy_context(context); /* its file handles are left: they cannot be closed without a connection */
    context = fresh;
    generation++;
}

static void read_groups(struct credentials *who, pid_t pid)
{
    char path[40], line[1024];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *status = fopen(path, "re");
    who->count = 0;
    while (status && fgets(line, sizeof line, status)) {
        if (strncmp(line, "Groups:", 7))
            continue;
        char *rest = NULL;
        for (char *group = strtok_r(line + 7, " \t\n", &rest); group && who->count < MAX_GROUPS; group = strtok_r(NULL, " \t\n", &rest))
            who->groups[who->count++] = (uint32_t)strtoul(group, NULL, 10);
        break;
    }
    if (status)
        fclose(status);
}

static struct credentials caller(void)
{
    struct fuse_context *asking = fuse_get_context();
    struct credentials who = {.uid = asking->uid, .gid = asking->gid};
    if (who.uid)
        read_groups(&who, asking->pid);
    return who;
}

static void act_as(struct nfs_context *nfs, struct credentials *who)
{
    nfs_set_uid(nfs, (int)who->uid);
    nfs_set_gid(nfs, (int)who->gid);
    nfs_set_auxiliary_gids(nfs, who->count, who->groups);
}

int session_run(operation *run, void *arguments)
{
    struct credentials who = caller();
    int result;
    pthread_mutex_lock(&busy);
    for (int attempt = 0;; attempt++) {
        act_as(context, &who);
        result = run(context, arguments);
        if (is_grace(context, result)) {
            wait_a_second();
            attempt--;
            continue;
        }
        if (!is_loss(result) || mounted->soft || attempt == RECOVERIES)
            break;
        recover();
    }
    pthread_mutex_unlock(&busy);
    return result;
}

static int open_handle(struct nfs_context *nfs, struct file *file)
{
    if (file->handle && file->generation == generation)
        return 0;
    int result = nfs_open(nfs, file->path, file->flags & ~(O_CREAT | O_EXCL | O_TRUNC), &file->handle);
    if (result == 0)
        file->generation = generation;
    return result;
}

static int on_file(struct file *file, int (*run)(struct nfs_context *, struct nfsfh *, void *), void *arguments)
{
    int result;
    for (int attempt = 0;; attempt++) {
        act_as(context, &file->owner);
        result = open_handle(context, file);
        if (result == 0)
            result = run(context, file->handle, arguments);
        if (is_grace(context, result)) {
            wait_a_second();
            attempt--;
            continue;
        }
        if (!is_loss(result) || mounted->soft || attempt == RECOVERIES)
            return result;
        recover();
    }
}

int file_run(struct file *file, int (*run)(struct nfs_context *, struct nfsfh *, void *), void *arguments)
{
    pthread_mutex_lock(&busy);
    int result = on_file(file, run, arguments);
    pthread_mutex_unlock(&busy);
    return result;
}

struct creation {
    struct file *file;
    int create;
    mode_t mode;
};

static int open_or_create(struct nfs_context *nfs, void *arguments)
{
    struct creation *wanted = arguments;
    struct file *file = wanted->file;
    int result = wanted->create ? nfs_open2(nfs, file->path, file->flags | O_CREAT, (int)wanted->mode, &file->handle)
                                : nfs_open(nfs, file->path, file->flags & ~O_CREAT, &file->handle);
    if (result == 0 && wanted->create && mounted->version == 4)
        result = nfs_chmod(nfs, file->path, (int)wanted->mode); /* libnfs loses the mode on the way */
    if (result == 0)
        file->generation = generation;
    return result;
}

struct file *file_open(const char *path, int flags, int create, mode_t mode, int *error)
{
    struct file *file = calloc(1, sizeof *file);
    struct creation wanted = {file, create, mode};
    if (!file || !(file->path = strdup(path))) {
        free(file);
        *error = -ENOMEM;
        return NULL;
    }
    file->flags = flags;
    file->owner = caller();
    *error = session_run(open_or_create, &wanted);
    if (*error) {
        free(file->path);
        free(file);
        return NULL;
    }
    pthread_mutex_lock(&busy);
    file->next = files;
    files = file;
    pthread_mutex_unlock(&busy);
    return file;
}

static void drop_lock_context(struct file *file)
{
    if (!file->lock_context)
        return;
    struct nfs4_flock all = {.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_len = UINT64_MAX};
    if (file->holds)
        nfs_fcntl(file->lock_context, file->lock_handle, NFS4_F_SETLK, &all); /* a server keeps a file open that is locked */
    nfs_close(file->lock_context, file->lock_handle);
    nfs_destroy_context(file->lock_context);
    file->lock_context = NULL;
}

void file_close(struct file *file)
{
    pthread_mutex_lock(&busy);
    drop_lock_context(file);
    if (file->generation == generation)
        nfs_close(context, file->handle);
    for (struct file **at = &files; *at; at = &(*at)->next)
        if (*at == file) {
            *at = file->next;
            break;
        }
    pthread_mutex_unlock(&busy);
    free(file->path);
    free(file);
}

void files_renamed(const char *from, const char *to)
{
    size_t length = strlen(from);
    pthread_mutex_lock(&busy);
    for (struct file *file = files; file; file = file->next) {
        char *moved;
        if (strncmp(file->path, from, length) || (file->path[length] && file->path[length] != '/'))
            continue;
        if (asprintf(&moved, "%s%s", to, file->path + length) < 0)
            continue;
        free(file->path);
        file->path = moved;
    }
    pthread_mutex_unlock(&busy);
}

static int is_denied(struct nfs_context *nfs) /* libnfs has no errno for a lock that another client holds, only words */
{
    const char *why = nfs ? nfs_get_error(nfs) : NULL;
    return why && strstr(why, "NFS4ERR_DENIED");
}

static int try_lock(struct file *file, struct nfs4_flock *lock, int patient)
{
    int result, grace;
    for (int attempt = 0;; attempt++) {
        struct nfs4_flock asked = *lock;
        if (asked.l_len == 0)
            asked.l_len = UINT64_MAX - asked.l_start; /* "to the end", which the protocol has another number for */
        result = grace = 0;
        if (!file->lock_context) {
            result = connect_to_export(&file->lock_context);
            if (result == 0) {
                act_as(file->lock_context, &file->owner);
                result = nfs_open(file->lock_context, file->path, file->flags & ~(O_CREAT | O_EXCL | O_TRUNC), &file->lock_handle);
                if (result < 0) {
                    grace = is_grace(file->lock_context, result);
                    nfs_destroy_context(file->lock_context);
                    file->lock_context = NULL;
                }
            }
        }
        if (result == 0)
            result = nfs_fcntl(file->lock_context, file->lock_handle, NFS4_F_SETLK, &asked);
        if (result == -ERANGE && is_denied(file->lock_context))
            return -EAGAIN;
        if (patient && (grace || (file->lock_context && is_grace(file->lock_context, result)))) {
            wait_a_second();
            attempt--;
            continue;
        }
        if (!is_loss(result) || attempt == RECOVERIES)
            return result;
        drop_lock_context(file);
    }
}

static uint64_t end_of(const struct nfs4_flock *lock) { return lock->l_len ? lock->l_start + lock->l_len : UINT64_MAX; }

static int give_up_lock(struct file *file, struct nfs4_flock *range)
{
    if (!file->holds)
        return 0;
    if (range->l_start > file->held.l_start || end_of(range) < end_of(&file->held))
        return try_lock(file, range, 1);
    drop_lock_context(file); /* closing gives up all; after an unlock libnfs could not lock again */
    file->holds = 0;
    return 0;
}

static int take_lock(struct file *file, struct nfs4_flock *range)
{
    int result = try_lock(file, range, 1);
    if (result == 0) {
        file->holds = 1;
        file->held = *range;
    }
    return result;
}

/* The protocol's own question cannot be asked with libnfs, so the lock is taken for a moment. */
int file_test_lock(struct file *file, struct nfs4_flock *range)
{
    int result = 0;
    pthread_mutex_lock(&busy);
    if (!file->holds) {
        result = take_lock(file, range);
        if (result == 0)
            give_up_lock(file, range);
    }
    pthread_mutex_unlock(&busy);
    return result;
}

int file_lock(struct file *file, struct nfs4_flock *range, int wait)
{
    for (;;) {
        pthread_mutex_lock(&busy);
        int result = range->l_type == F_UNLCK ? give_up_lock(file, range) : take_lock(file, range);
        pthread_mutex_unlock(&busy);
        if (!wait || (result != -EAGAIN && result != -EACCES))
            return result;
        if (fuse_interrupted())
            return -EINTR;
        usleep(200000);
    }
}

static int renew(struct nfs_context *nfs, struct nfsfh *handle, void *arguments)
{
    (void)arguments;
    char byte;
    return nfs_pread(nfs, handle, 0, 1, &byte) == -EACCES ? -EACCES : 0;
}

/* The server forgets a client that says nothing for some seconds, and with it what the client has open and locked. */
static void *keep_lease(void *unused)
{
    for (;;) {
        sleep(RENEW_S);
        pthread_mutex_lock(&busy);
        for (struct file *file = files; file; file = file->next) {
            if (file->handle && file->generation == generation) {
                act_as(context, &file->owner);
                renew(context, file->handle, NULL);
            }
            char byte;
            if (file->holds && (!file->lock_context || is_loss(nfs_pread(file->lock_context, file->lock_handle, 0, 1, &byte)))) {
                drop_lock_context(file);
                try_lock(file, &file->held, 0); /* or at the next turn: who waits here keeps no other lease */
            }
        }
        pthread_mutex_unlock(&busy);
    }
    return unused;
}

void session_keep_lease(void)
{
    pthread_t thread;
    if (mounted->version == 4 && pthread_create(&thread, NULL, keep_lease, NULL) == 0)
        pthread_detach(thread);
}
