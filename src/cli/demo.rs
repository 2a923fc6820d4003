//! placeholder
use anyhow::Result;
pub fn demo() -> Result<()> {
    anyhow::bail!("")
}
