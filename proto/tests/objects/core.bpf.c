// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Places that a loader adapts to the kernel's types.
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

struct task_struct {
	int pid;
	int tgid;
	struct task_struct *real_parent;
} __attribute__((preserve_access_index));

int parent;

extern int CONFIG_HZ __kconfig;
extern void bpf_task_release(struct task_struct *task) __ksym;

SEC("raw_tp/sched_switch")
int switched(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	parent = BPF_CORE_READ(task, real_parent, tgid);
	return bpf_core_field_exists(task->pid);
}

SEC("fentry/do_unlinkat")
int unlinked(void *ctx)
{
	bpf_task_release(ctx);
	return CONFIG_HZ;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
