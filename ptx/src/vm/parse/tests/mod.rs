mod forms;
mod properties;
mod refusals;

/// A module around the body of one entry point `k(.param .u64 p, .param .u32 n)`.
pub fn module_of(body: &str) -> String {
    format!(
        ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 p, .param .u32 n)\n{{\n{body}\n}}\n"
    )
}
