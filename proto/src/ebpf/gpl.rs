//! What the kernel keeps for programs of a GPL-compatible license.
//!
//! Whoever loads an object hands its license string to the kernel, and the verifier refuses a call of
//! a BPF helper marked `gpl_only` if that string is not one of six. An object that calls one and
//! tells something else loads nowhere; it is refused before anybody tries.

use super::Object;

/// The strings that the kernel takes for GPL-compatible, letter by letter (`license_is_gpl_compatible`
/// in `include/linux/license.h`).
const COMPATIBLE: [&str; 6] = [
    "GPL",
    "GPL v2",
    "GPL and additional rights",
    "Dual BSD/GPL",
    "Dual MIT/GPL",
    "Dual MPL/GPL",
];

/// Helpers that no program of another license may call, whatever its type; sorted by number.
///
/// Asked of Linux 6.18 for every program type that loads without a target, by loading one call of
/// each helper with the license `MIT`: listed is what the verifier called GPL-restricted in every
/// type that has the helper. Those that this kernel was built without (`probe_write_user`,
/// `override_return`, the three of `rc`) stand here by the `gpl_only` of their definitions in
/// `kernel/trace/bpf_trace.c` and `drivers/media/rc/bpf-lirc.c`. Not listed, since some type may
/// call them freely: `get_stackid` (perf events), `get_func_ip` (kprobe sessions and multiple
/// probes); nor `ktime_get_ns`, which is free since Linux 5.8.
const ONLY: [(u32, &str); 42] = [
    (4, "probe_read"),
    (6, "trace_printk"),
    (22, "perf_event_read"),
    (25, "perf_event_output"),
    (35, "get_current_task"),
    (36, "probe_write_user"),
    (45, "probe_read_str"),
    (55, "perf_event_read_value"),
    (56, "perf_prog_read_value"),
    (58, "override_return"),
    (67, "get_stack"),
    (69, "fib_lookup"),
    (77, "rc_repeat"),
    (78, "rc_keydown"),
    (92, "rc_pointer_rel"),
    (100, "tcp_check_syncookie"),
    (110, "tcp_gen_syncookie"),
    (111, "skb_output"),
    (112, "probe_read_user"),
    (113, "probe_read_kernel"),
    (114, "probe_read_user_str"),
    (115, "probe_read_kernel_str"),
    (119, "read_branch_records"),
    (121, "xdp_output"),
    (126, "seq_printf"),
    (127, "seq_write"),
    (150, "seq_printf_btf"),
    (158, "get_current_task_btf"),
    (163, "check_mtu"),
    (165, "snprintf"),
    (169, "timer_init"),
    (170, "timer_set_callback"),
    (171, "timer_start"),
    (172, "timer_cancel"),
    (175, "task_pt_regs"),
    (176, "get_branch_snapshot"),
    (177, "trace_vprintk"),
    (191, "copy_from_user_task"),
    (204, "tcp_raw_gen_syncookie_ipv4"),
    (205, "tcp_raw_gen_syncookie_ipv6"),
    (206, "tcp_raw_check_syncookie_ipv4"),
    (207, "tcp_raw_check_syncookie_ipv6"),
];

/// Whether Linux takes a license string for GPL-compatible.
pub fn is_gpl_compatible(license: &str) -> bool {
    COMPATIBLE.contains(&license)
}

impl Object {
    /// The helpers that it calls and that Linux would refuse it for what its `license` section says;
    /// a missing section says nothing.
    pub fn helpers_refused_for_license(&self) -> Vec<&'static str> {
        if self.license.as_deref().is_some_and(is_gpl_compatible) {
            return Vec::new();
        }
        let only = ONLY.iter();
        let called = only.filter(|(number, _)| self.helpers.binary_search(number).is_ok());
        called.map(|(_, name)| *name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_sorted_and_distinct() {
        assert!(ONLY.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn only_the_kernels_own_spelling_is_compatible() {
        for license in COMPATIBLE {
            assert!(is_gpl_compatible(license));
            assert!(!is_gpl_compatible(&license.to_lowercase()), "{license}");
            assert!(!is_gpl_compatible(&format!("{license} ")), "{license}");
        }
        for license in ["GPLv2", "GPL-2.0-only", "LGPL", "MIT", "Proprietary", ""] {
            assert!(!is_gpl_compatible(license), "{license}");
        }
    }
}
