/** The value below which a part q of the values lies, interpolated. */
export function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (sorted.length - 1) * q
  const low = Math.floor(at)
  const high = Math.min(low + 1, sorted.length - 1)
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low)
}

export const median = (values) => quantile(values, 0.5)

/** Half the range over the median: 0.05 reads as "give or take 5 %". */
export function spread(values) {
  return values.length < 2
    ? undefined
    : (Math.max(...values) - Math.min(...values)) / 2 / median(values)
}
