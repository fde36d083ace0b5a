// The colours, once for light and once for dark; canvas and style sheets read the same values.
// Found by a search in OKLCH for the greatest least difference over normal, deuteranopic and protanopic sight;
// `palette.test.ts` holds the measure. The hue of errors is never a service's.

export const light = {
  bg: '#f6f7f9',
  panel: '#ffffff',
  panel2: '#eef1f5',
  line: '#d5dae2',
  control: '#7d899a',
  text: '#16202c',
  mute: '#566273',
  accent: '#0b62c4',
  onAccent: '#ffffff',
  ok: '#4a6b8a',
  warn: '#ae520a',
  warnBg: '#fdf3e2',
  err: '#b00727',
  errBg: '#fdecee',
  edge: '#9aa7b6',
  async: '#6d51b5',
  grid: '#e6eaef',
  good: '#1d6b4a',
};

export const dark: Theme = {
  bg: '#0d1117',
  panel: '#151b23',
  panel2: '#1d2530',
  line: '#2d3743',
  control: '#67768a',
  text: '#e4e9f0',
  mute: '#9aa7b8',
  accent: '#5aa9ff',
  onAccent: '#0d1117',
  ok: '#86a8c9',
  warn: '#fdd171',
  warnBg: '#2f2614',
  err: '#ff6b70',
  errBg: '#35161a',
  edge: '#5b6a7e',
  async: '#b39dfa',
  grid: '#1f2833',
  good: '#6ecf9f',
};

export type Theme = typeof light;

/** Eight colours for services; neighbours in a waterfall are told apart by name too. */
export const lightSeries = ['#4e8ce6', '#8f8214', '#2d564b', '#24648b', '#639c6f', '#628f94', '#355119', '#1b3f97'];
export const darkSeries = ['#a8aae9', '#f9b73f', '#579f68', '#b6762a', '#ebc4d7', '#8d7794', '#eed592', '#7e6ed3'];
