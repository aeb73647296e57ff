# What we use of libbpf (1.0 and later): objects, maps, links, test runs. C names kept.
from libc.stdint cimport uint32_t, uint64_t

cdef extern from "<linux/bpf.h>" nogil:
    cdef enum:
        BPF_ANY
        BPF_XDP
        BPF_SK_LOOKUP

cdef extern from "<linux/if_link.h>" nogil:
    cdef enum:
        XDP_FLAGS_SKB_MODE
        XDP_FLAGS_DRV_MODE

cdef extern from "<bpf/libbpf.h>" nogil:
    """
    #include <stdio.h>
    #include <string.h>
    #include <bpf/bpf.h>
    /* What libbpf and the verifier say goes here instead of to standard error; the last words explain an error. */
    static char bpf_said[4096];
    static int bpf_note(enum libbpf_print_level level, const char *format, va_list arguments) {
        size_t used = strlen(bpf_said);
        if (level > LIBBPF_WARN) return 0;
        if (used > sizeof(bpf_said) / 2) used = 0;
        return vsnprintf(bpf_said + used, sizeof(bpf_said) - used, format, arguments);
    }
    static void bpf_listen(void) { bpf_said[0] = 0; libbpf_set_print(bpf_note); }
    static struct bpf_object *bpf_open_memory(const void *data, size_t octets, const char *name) {
        LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = name);
        return bpf_object__open_mem(data, octets, &options);
    }
    static int bpf_link_make(int program, int target, int type, uint32_t flags) {
        LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags);
        return bpf_link_create(program, target, (enum bpf_attach_type)type, &options);
    }
    static int bpf_link_look(int link, uint32_t *program, uint32_t *ifindex) {
        struct bpf_link_info info = {0};
        __u32 size = sizeof(info);
        int error = bpf_obj_get_info_by_fd(link, &info, &size);
        *program = info.prog_id;
        *ifindex = info.type == BPF_LINK_TYPE_XDP ? info.xdp.ifindex : 0;
        return error;
    }
    static int bpf_program_id(int program, uint32_t *id) {
        struct bpf_prog_info info = {0};
        __u32 size = sizeof(info);
        int error = bpf_obj_get_info_by_fd(program, &info, &size);
        *id = info.id;
        return error;
    }
    static int bpf_test(int program, const void *in, uint32_t in_octets, void *out, uint32_t *out_octets,
                        uint32_t ifindex, uint32_t queue, uint32_t *verdict) {
        struct xdp_md context = {.data_end = in_octets, .ingress_ifindex = ifindex, .rx_queue_index = queue};
        LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = in, .data_size_in = in_octets, .data_out = out,
                    .data_size_out = *out_octets, .repeat = 1);
        int error;
        if (ifindex) { options.ctx_in = &context; options.ctx_size_in = sizeof(context); }
        error = bpf_prog_test_run_opts(program, &options);
        *out_octets = options.data_size_out;
        *verdict = options.retval;
        return error;
    }
    """
    struct bpf_object
    struct bpf_map
    struct bpf_program
    char *bpf_said
    void bpf_listen()
    bpf_object *bpf_open_memory(const void *data, size_t octets, const char *name)
    int bpf_object__load(bpf_object *object)
    void bpf_object__close(bpf_object *object)
    bpf_map *bpf_object__find_map_by_name(const bpf_object *object, const char *name)
    int bpf_map__set_max_entries(bpf_map *map, uint32_t entries)
    int bpf_map__fd(const bpf_map *map)
    bpf_program *bpf_object__find_program_by_name(const bpf_object *object, const char *name)
    int bpf_program__fd(const bpf_program *program)
    int libbpf_num_possible_cpus()
    int bpf_map_update_elem(int fd, const void *key, const void *value, uint64_t flags)
    int bpf_map_lookup_elem(int fd, const void *key, void *value)
    int bpf_map_delete_elem(int fd, const void *key)
    int bpf_map_get_next_key(int fd, const void *key, void *next)
    int bpf_link_make(int program, int target, int type, uint32_t flags)
    int bpf_link_look(int link, uint32_t *program, uint32_t *ifindex)
    int bpf_link_detach(int link)
    int bpf_link_get_fd_by_id(uint32_t id)
    int bpf_prog_get_fd_by_id(uint32_t id)
    int bpf_link_update(int link, int program, const void *options)
    int bpf_program_id(int program, uint32_t *id)
    int bpf_test(int program, const void *data, uint32_t octets, void *out, uint32_t *out_octets, uint32_t ifindex,
                 uint32_t queue, uint32_t *verdict)
