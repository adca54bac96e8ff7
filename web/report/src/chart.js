// What all drawn figures share: ECharts with only the parts that are used, the page's colours, and a way through the
// points with the keyboard, which are spoken as they are shown.
import { CustomChart, LineChart, ScatterChart } from 'echarts/charts'
import { GridComponent, TooltipComponent } from 'echarts/components'
import * as echarts from 'echarts/core'
import { LabelLayout } from 'echarts/features'
import { SVGRenderer } from 'echarts/renderers'
import { ink, onTheme } from './colour.js'
import { el } from './dom.js'

echarts.use([LineChart, ScatterChart, CustomChart, GridComponent, TooltipComponent, LabelLayout, SVGRenderer])

/** Options of an axis in the page's colours. */
export const axis = (name, more = {}) => ({
  name, nameLocation: 'middle', nameGap: 30, nameTextStyle: { color: ink('muted'), fontSize: 12 },
  axisLabel: { color: ink('muted'), fontSize: 12, hideOverlap: true }, axisLine: { lineStyle: { color: ink('line-strong') } },
  axisTick: { show: false }, splitLine: { lineStyle: { color: ink('line') } }, minorSplitLine: { show: false }, ...more,
})

/** A tooltip whose text is `sentence(params)`; a node, never HTML. */
export const tooltip = (sentence) => ({
  trigger: 'item', confine: true, backgroundColor: ink('surface'), borderColor: ink('line-strong'), padding: [6, 10],
  textStyle: { color: ink('ink'), fontSize: 13, fontFamily: 'inherit' },
  formatter: (params) => el('span', { class: 'tip' }, sentence(params)),
})

const decades = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹']
/** Labels of a logarithmic axis: 0.01, 1, 10⁻⁵. */
export function decade(value) {
  const power = Math.round(Math.log10(value))
  if (Math.abs(power) <= 3) return String(Number(value.toPrecision(2)))
  return `10${power < 0 ? '⁻' : ''}${[...String(Math.abs(power))].map((digit) => decades[digit]).join('')}`
}

/**
 * A figure. option(width): ECharts' options, made anew when the theme or width class changes. walk: the series that the
 * keyboard goes through, each a list of {series, index, text}.
 */
export function chart({ label, height, option, walk }) {
  const host = el('div', { class: 'canvas', style: `min-height:${height}px` })
  const spoken = el('p', { class: 'unseen', 'aria-live': 'polite' })
  let drawn = null
  let at = [0, -1]
  const draw = () => {
    if (!host.clientWidth) return
    drawn ??= echarts.init(host, null, { renderer: 'svg' })
    drawn.resize()
    drawn.setOption({ animation: false, textStyle: { fontFamily: ink('font') }, ...option(host.clientWidth) }, true)
  }
  const key = (event) => {
    const lists = walk()
    if (event.key === 'Escape') return drawn?.dispatchAction({ type: 'hideTip' })
    const turn = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key]
    if (!turn || !drawn || !lists.length) return
    event.preventDefault()
    const row = (at[0] + turn[0] + lists.length) % lists.length
    const column = Math.max(0, Math.min(lists[row].length - 1, at[1] + turn[1]))
    at = [row, column]
    const point = lists[row][column]
    if (!point) return
    drawn.dispatchAction({ type: 'showTip', seriesIndex: point.series, dataIndex: point.index })
    spoken.textContent = point.text
  }
  const figure = el('div', {
    class: 'chart', tabindex: 0, role: 'application', 'aria-roledescription': 'figure',
    'aria-label': `${label} Use the arrow keys to go through the points.`, onkeydown: key,
    onblur: () => drawn?.dispatchAction({ type: 'hideTip' }),
  }, host)
  new ResizeObserver(draw).observe(host)
  onTheme(draw)
  return { node: [figure, spoken], draw }
}
