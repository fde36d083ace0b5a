// Light or dark: by the system, until somebody chooses. The choice is this browser's, not part of an address.
import { dark, darkSeries, light, lightSeries, type Theme } from './token';

export type Choice = 'system' | 'light' | 'dark';
const KEY = 'tracelake.theme';

class Appearance {
  choice = $state<Choice>(stored());
  #systemDark = $state(matchMedia('(prefers-color-scheme: dark)').matches);
  readonly name = $derived<'light' | 'dark'>(this.choice === 'system' ? (this.#systemDark ? 'dark' : 'light') : this.choice);
  readonly theme = $derived<Theme>(this.name === 'dark' ? dark : light);
  readonly series = $derived(this.name === 'dark' ? darkSeries : lightSeries);

  constructor() {
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', (event) => (this.#systemDark = event.matches));
  }

  choose(choice: Choice): void {
    this.choice = choice;
    if (choice === 'system') localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, choice);
  }

  /** Hands the colours to the style sheets. */
  apply(): void {
    const root = document.documentElement;
    for (const [name, value] of Object.entries(this.theme)) root.style.setProperty(`--${name}`, value);
    root.style.colorScheme = this.name;
  }
}

function stored(): Choice {
  const value = localStorage.getItem(KEY);
  return value === 'light' || value === 'dark' ? value : 'system';
}

export const appearance = new Appearance();
