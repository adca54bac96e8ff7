// Numbers and names as a person reads them.

export const isNumber = (value) => typeof value === 'number' && Number.isFinite(value)

/** Three significant digits, without an exponent where it can be helped. */
export function figure(value, digits = 3) {
  if (!isNumber(value)) return '–'
  const size = Math.abs(value)
  if (size !== 0 && (size < 1e-4 || size >= 1e6)) return value.toExponential(digits - 1).replace('e', ' × 10^').replace('^+', '^')
  const decimals = size === 0 ? 0 : Math.max(0, digits - 1 - Math.floor(Math.log10(size)))
  return value.toFixed(Math.min(decimals, 8))
}

export const percent = (share, digits = 1) => (isNumber(share) ? `${(100 * share).toFixed(digits)} %` : '–')

export function bytes(count) {
  if (!isNumber(count)) return '–'
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let unit = 0
  while (count >= 1024 && unit + 1 < units.length) {
    count /= 1024
    unit += 1
  }
  return `${unit === 0 ? count : count.toFixed(1)} ${units[unit]}`
}

/** "model.layers.3.mlp.down_proj" -> "3 · down": the block and the roles of the linears. */
export function groupTitle(grid, index) {
  const roles = [...new Set(grid.linears.filter((linear) => linear.group === index).map((linear) => linear.role))]
  const block = grid.groups[index]?.block
  return block === null || block === undefined ? roles.join(' ') : `block ${block} · ${roles.join(' ')}`
}

export const interval = (kl) => {
  const half = 1.96 * (isNumber(kl.stderr) ? kl.stderr : 0)
  return [Math.max(0, kl.mean - half), kl.mean + half]
}
