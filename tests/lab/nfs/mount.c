/* mount.nfs SERVER:/PATH TARGET [-o OPTIONS]: NFS v3 and v4 in user space, for nodes whose kernel has no NFS.
   Errors are worded as the real mount.nfs words them, because people search for those words. */
#define FUSE_USE_VERSION 26
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <unistd.h>
#include <fuse.h>

enum { FAILED = 32, CONNECT_MS = 10000 };

static struct options options = {.version = 4, .port = 2049};

struct two_paths { const char *path, *other; };
struct numbered { const char *path; uint64_t a, b; };

static void fill(struct stat *to, const struct nfs_stat_64 *from)
{
    memset(to, 0, sizeof *to);
    to->st_ino = from->nfs_ino;
    to->st_mode = (mode_t)from->nfs_mode;
    to->st_nlink = from->nfs_nlink;
    to->st_uid = (uid_t)from->nfs_uid;
    to->st_gid = (gid_t)from->nfs_gid;
    to->st_size = (off_t)from->nfs_size;
    to->st_blksize = 4096;
    to->st_blocks = (blkcnt_t)(from->nfs_used / 512);
    to->st_atim = (struct timespec){(time_t)from->nfs_atime, (long)from->nfs_atime_nsec};
    to->st_mtim = (struct timespec){(time_t)from->nfs_mtime, (long)from->nfs_mtime_nsec};
    to->st_ctim = (struct timespec){(time_t)from->nfs_ctime, (long)from->nfs_ctime_nsec};
}

struct looked { const char *path; struct nfs_stat_64 found; };
static int run_stat(struct nfs_context *nfs, void *arguments)
{
    struct looked *look = arguments;
    return nfs_lstat64(nfs, look->path, &look->found);
}
static int do_getattr(const char *path, struct stat *to)
{
    struct looked look = {.path = path};
    int result = session_run(run_stat, &look);
    if (result == 0)
        fill(to, &look.found);
    return result;
}

struct listing { const char *path; void *buffer; fuse_fill_dir_t add; };
static int run_readdir(struct nfs_context *nfs, void *arguments)
{
    struct listing *list = arguments;
    struct nfsdir *folder;
    struct nfsdirent *entry;
    int result = nfs_opendir(nfs, list->path, &folder);
    if (result)
        return result;
    while ((entry = nfs_readdir(nfs, folder)))
        list->add(list->buffer, entry->name, NULL, 0);
    nfs_closedir(nfs, folder);
    return 0;
}
static int do_readdir(const char *path, void *buffer, fuse_fill_dir_t add, off_t offset, struct fuse_file_info *info)
{
    (void)offset, (void)info;
    struct listing list = {path, buffer, add};
    return session_run(run_readdir, &list);
}

static struct file *file_of(struct fuse_file_info *info) { return (struct file *)(uintptr_t)info->fh; }

static int do_open(const char *path, struct fuse_file_info *info)
{
    int error;
    info->fh = (uintptr_t)file_open(path, info->flags, 0, 0, &error);
    return error;
}
static int do_create(const char *path, mode_t mode, struct fuse_file_info *info)
{
    int error;
    info->fh = (uintptr_t)file_open(path, info->flags, 1, mode & 07777, &error);
    return error;
}
static int do_release(const char *path, struct fuse_file_info *info)
{
    (void)path;
    file_close(file_of(info));
    return 0;
}

struct transfer { char *to; const char *from; size_t count; off_t offset; };
static int run_read(struct nfs_context *nfs, struct nfsfh *handle, void *arguments)
{
    struct transfer *part = arguments;
    return nfs_pread(nfs, handle, (uint64_t)part->offset, part->count, part->to);
}
static int do_read(const char *path, char *to, size_t count, off_t offset, struct fuse_file_info *info)
{
    (void)path;
    struct transfer part = {to, NULL, count, offset};
    return file_run(file_of(info), run_read, &part);
}
static int run_write(struct nfs_context *nfs, struct nfsfh *handle, void *arguments)
{
    struct transfer *part = arguments;
    return nfs_pwrite(nfs, handle, (uint64_t)part->offset, part->count, part->from);
}
static int do_write(const char *path, const char *from, size_t count, off_t offset, struct fuse_file_info *info)
{
    (void)path;
    struct transfer part = {NULL, from, count, offset};
    return file_run(file_of(info), run_write, &part);
}
static int run_fsync(struct nfs_context *nfs, struct nfsfh *handle, void *arguments)
{
    (void)arguments;
    return nfs_fsync(nfs, handle);
}
static int do_fsync(const char *path, int data_only, struct fuse_file_info *info)
{
    (void)path, (void)data_only;
    return file_run(file_of(info), run_fsync, NULL);
}

static int do_lock(const char *path, struct fuse_file_info *info, int command, struct flock *lock)
{
    (void)path;
    struct nfs4_flock asked = {
        .l_type = lock->l_type, .l_whence = SEEK_SET, .l_pid = (uint32_t)lock->l_pid,
        .l_start = (uint64_t)lock->l_start, .l_len = (uint64_t)lock->l_len,
    };
    if (command == F_GETLK) {
        int result = file_test_lock(file_of(info), &asked);
        if (result == -EAGAIN || result == -EACCES)
            return 0; /* what was asked for stands in the way: by whom is not known */
        lock->l_type = F_UNLCK;
        return result;
    }
    return file_lock(file_of(info), &asked, command == F_SETLKW);
}
static int do_flush(const char *path, struct fuse_file_info *info)
{
    (void)path;
    struct nfs4_flock all = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    if (options.version == 4)
        file_lock(file_of(info), &all, 0); /* a process that closes a file gives up its locks */
    return 0;
}

static int run_mkdir(struct nfs_context *nfs, void *arguments)
{
    struct numbered *folder = arguments;
    int result = nfs_mkdir2(nfs, folder->path, (int)folder->a);
    return result == 0 && options.version == 4 ? nfs_chmod(nfs, folder->path, (int)folder->a) : result;
}
static int do_mkdir(const char *path, mode_t mode)
{
    struct numbered folder = {path, mode & 07777, 0};
    return session_run(run_mkdir, &folder);
}
static int run_unlink(struct nfs_context *nfs, void *path) { return nfs_unlink(nfs, path); }
static int do_unlink(const char *path) { return session_run(run_unlink, (void *)path); }
static int run_rmdir(struct nfs_context *nfs, void *path) { return nfs_rmdir(nfs, path); }
static int do_rmdir(const char *path) { return session_run(run_rmdir, (void *)path); }

static int run_rename(struct nfs_context *nfs, void *arguments)
{
    struct two_paths *names = arguments;
    return nfs_rename(nfs, names->path, names->other);
}
static int do_rename(const char *from, const char *to)
{
    struct two_paths names = {from, to};
    int result = session_run(run_rename, &names);
    if (result == 0)
        files_renamed(from, to);
    return result;
}
static int run_symlink(struct nfs_context *nfs, void *arguments)
{
    struct two_paths *names = arguments;
    return nfs_symlink(nfs, names->path, names->other);
}
static int do_symlink(const char *target, const char *path)
{
    struct two_paths names = {target, path};
    return session_run(run_symlink, &names);
}
static int run_link(struct nfs_context *nfs, void *arguments)
{
    struct two_paths *names = arguments;
    return nfs_link(nfs, names->path, names->other);
}
static int do_link(const char *from, const char *to)
{
    struct two_paths names = {from, to};
    return session_run(run_link, &names);
}
struct target { const char *path; char *to; size_t size; };
static int run_readlink(struct nfs_context *nfs, void *arguments)
{
    struct target *link = arguments;
    return nfs_readlink(nfs, link->path, link->to, (int)link->size);
}
static int do_readlink(const char *path, char *to, size_t size)
{
    struct target link = {path, to, size};
    return session_run(run_readlink, &link);
}

static int run_truncate(struct nfs_context *nfs, void *arguments)
{
    struct numbered *file = arguments;
    return nfs_truncate(nfs, file->path, file->a);
}
static int do_truncate(const char *path, off_t size)
{
    struct numbered file = {path, (uint64_t)size, 0};
    return session_run(run_truncate, &file);
}
static int run_chmod(struct nfs_context *nfs, void *arguments)
{
    struct numbered *file = arguments;
    return nfs_chmod(nfs, file->path, (int)file->a);
}
static int do_chmod(const char *path, mode_t mode)
{
    struct numbered file = {path, mode & 07777, 0};
    return session_run(run_chmod, &file);
}
static int run_chown(struct nfs_context *nfs, void *arguments)
{
    struct numbered *file = arguments;
    struct nfs_stat_64 now;
    char below[8192];
    int result = nfs_lstat64(nfs, file->path, &now);
    if (result)
        return result;
    int uid = (uint32_t)file->a == (uint32_t)-1 ? (int)now.nfs_uid : (int)file->a;
    int gid = (uint32_t)file->b == (uint32_t)-1 ? (int)now.nfs_gid : (int)file->b;
    if (options.version == 3)
        return nfs_chown(nfs, file->path, uid, gid);
    /* over v4, libnfs 5.0 gives the parent folder of what it is told to the new owner */
    snprintf(below, sizeof below, "%s/x", strcmp(file->path, "/") ? file->path : "");
    return nfs_chown(nfs, below, uid, gid);
}
static int do_chown(const char *path, uid_t uid, gid_t gid)
{
    struct numbered file = {path, uid, gid};
    return session_run(run_chown, &file);
}
struct times { const char *path; struct timeval both[2]; };
static int run_utimes(struct nfs_context *nfs, void *arguments)
{
    struct times *times = arguments;
    return nfs_utimes(nfs, times->path, times->both);
}
static int do_utimens(const char *path, const struct timespec both[2])
{
    struct times times = {path, {{both[0].tv_sec, both[0].tv_nsec / 1000}, {both[1].tv_sec, both[1].tv_nsec / 1000}}};
    return session_run(run_utimes, &times);
}
struct space { const char *path; struct statvfs *to; };
static int run_statfs(struct nfs_context *nfs, void *arguments)
{
    struct space *space = arguments;
    return nfs_statvfs(nfs, space->path, space->to);
}
static int do_statfs(const char *path, struct statvfs *to)
{
    struct space space = {path, to};
    return session_run(run_statfs, &space);
}

static void *do_init(struct fuse_conn_info *connection)
{
    (void)connection;
    session_keep_lease(); /* here, because a thread started before would not survive going to the background */
    return NULL;
}

static struct fuse_operations operations = {
    .init = do_init, .getattr = do_getattr, .readdir = do_readdir, .open = do_open, .create = do_create, .release = do_release,
    .read = do_read, .write = do_write, .fsync = do_fsync, .flush = do_flush, .lock = do_lock, .mkdir = do_mkdir,
    .unlink = do_unlink, .rmdir = do_rmdir, .rename = do_rename, .symlink = do_symlink, .link = do_link, .readlink = do_readlink,
    .truncate = do_truncate, .chmod = do_chmod, .chown = do_chown, .utimens = do_utimens, .statfs = do_statfs,
};

static int fail(const char *format, const char *a, const char *b)
{
    fputs("mount.nfs: ", stderr);
    fprintf(stderr, format, a, b);
    fputc('\n', stderr);
    return FAILED;
}

static int connect_error(const struct addrinfo *address)
{
    int socket_error = 0, descriptor = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t length = sizeof socket_error;
    if (descriptor < 0)
        return errno;
    if (connect(descriptor, address->ai_addr, address->ai_addrlen) < 0 && errno != EINPROGRESS) {
        socket_error = errno;
    } else {
        struct pollfd wait = {.fd = descriptor, .events = POLLOUT};
        if (poll(&wait, 1, CONNECT_MS) == 0)
            socket_error = ETIMEDOUT;
        else
            getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &socket_error, &length);
    }
    close(descriptor);
    return socket_error;
}

static int probe(int port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    int result = getaddrinfo(options.server, service, &hints, &found);
    if (result)
        return fail("Failed to resolve server %s: %s", options.server, gai_strerror(result));
    int error = connect_error(found);
    freeaddrinfo(found);
    return error ? fail("%s%s", strerror(error), "") : 0;
}

static int explain(int error, const char *source)
{
    switch (error) {
    case -EACCES:
    case -EPERM:
        return fail("access denied by server while mounting %s%s", source, "");
    case -ENOENT:
    case -ENOTDIR:
        return fail("mounting %s failed, reason given by server: %s", source, strerror(-error));
    case -EINVAL:
    case -EFAULT:
    case -EPROTONOSUPPORT:
        return fail("%s%s", strerror(EPROTONOSUPPORT), "");
    default:
        return fail("%s%s", strerror(-error), "");
    }
}

static void read_options(char *text)
{
    for (char *option = strtok(text, ","); option; option = strtok(NULL, ",")) {
        const char *value = strchr(option, '=');
        value = value ? value + 1 : "";
        if (!strncmp(option, "vers=", 5) || !strncmp(option, "nfsvers=", 8))
            options.version = atoi(value);
        else if (!strncmp(option, "port=", 5))
            options.port = atoi(value);
        else if (!strncmp(option, "mountport=", 10))
            options.mount_port = atoi(value);
        else if (!strcmp(option, "soft"))
            options.soft = 1;
    }
}

int main(int count, char **arguments)
{
    char *source = NULL, *target = NULL, how[8192];
    for (int i = 1; i < count; i++) {
        if (!strcmp(arguments[i], "-o") && i + 1 < count)
            read_options(arguments[++i]);
        else if (arguments[i][0] != '-')
            *(source ? &target : &source) = arguments[i];
    }
    if (!source || !target || !strstr(source, ":/"))
        return fail("remote share not in 'host:dir' format%s%s", "", "");
    if (options.version != 3 && options.version != 4)
        return fail("%s%s", strerror(EPROTONOSUPPORT), "");

    snprintf(how, sizeof how, "allow_other,default_permissions,big_writes,use_ino,attr_timeout=1,fsname=%s,subtype=nfs", source);
    char *whole = strdup(source), *colon = strstr(source, ":/");
    *colon = 0;
    options.server = source;
    options.path = colon + 1;

    int result = probe(options.port);
    if (result == 0 && options.version == 3 && options.mount_port)
        result = probe(options.mount_port);
    if (result)
        return result;
    result = session_start(&options);
    if (result)
        return explain(result, whole);
    if (options.version == 3)
        operations.lock = NULL; /* nolock: the kernel keeps them here */
    char *fuse[] = {"mount.nfs", target, "-o", how, NULL};
    return fuse_main(4, fuse, &operations, NULL);
}
