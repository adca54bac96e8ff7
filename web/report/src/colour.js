// Colours of the page and of its figures, for light and for dark: told apart by people who see colours differently, and
// never the only sign (dashes, symbols and words go with them).

const light = ['#f7f7c4', '#e6f3ad', '#c7e9b4', '#7fcdbb', '#41b6c4', '#1d91c0', '#225ea8', '#253494', '#081d58']
const dark = ['#1a2548', '#1e3470', '#23509a', '#1d7fb0', '#2fa3b8', '#62c3b4', '#a5dcb0', '#e2f3b5', '#ffffe0']

const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16))

const query = window.matchMedia('(prefers-color-scheme: dark)')
let chosen = null
const listeners = []
const tell = () => listeners.forEach((listener) => listener())

export const isDark = () => (chosen ? chosen === 'dark' : query.matches)
export const onTheme = (listener) => listeners.push(listener)
export function toggleTheme() {
  chosen = isDark() ? 'light' : 'dark'
  document.documentElement.dataset.theme = chosen
  tell()
}
query.addEventListener('change', tell)

/** A place on the scale, 0 to 1, as a background and the text colour that can be read on it. */
export function shade(place) {
  const stops = isDark() ? dark : light
  const at = Math.max(0, Math.min(1, place)) * (stops.length - 1)
  const low = Math.min(Math.floor(at), stops.length - 2)
  const [a, b] = [channels(stops[low]), channels(stops[low + 1])]
  const rgb = a.map((value, i) => Math.round(value + (b[i] - value) * (at - low)))
  const linear = rgb.map((value) => ((value / 255 + 0.055) / 1.055) ** 2.4)
  const luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
  return { background: `rgb(${rgb.join(' ')})`, text: luminance > 0.179 ? '#000000' : '#ffffff' }
}
export const gradient = () => `linear-gradient(90deg, ${(isDark() ? dark : light).join(', ')})`

/** A CSS variable of the page, so that figures and text share one palette. */
export const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()
