import { html, type TemplateResult } from 'lit'

/** The swallow, seen from below: swept wings and a forked tail. Public copy for the tab: public/mark.svg. */
export function swallowMark(): TemplateResult {
  return html`<svg class="mark" viewBox="0 0 48 40" aria-hidden="true">
    <path class="mark-body" d="M46.5 9.6c-2.2-2.3-5.3-3.1-8-1.9-2.6 1.2-4.6 3.3-6.6 5.6C27.200 8.300 17.600 3.700 2 4.600c9.300 3 16.600 7.300 20.700 14.300-3.300 3.300-7 6-11.500 8.200L1.500 36.400c4.900-1.500 8.700-3.400 12-5.700-1.300 2.600-2.600 5-4.400 7.600 6.800-3.400 11.400-7.900 14.700-12.500 2.700-.4 5.200-1.200 7.500-2.600.4 4.800-.5 9.400-2.700 14.300 6.500-5.700 9-12.600 8.500-19.500 1.700-2.200 3.300-4.300 5-6 1.300-.2 2.600-1 4.400-2.400z"/>
    <path class="mark-throat" d="M42.600 11.200c-1.400-1.400-3.300-1.600-4.700-.5-1.500 1.200-2.600 2.900-3.600 4.700 2.400.2 4.500-.6 5.900-2.400.7-.8 1.500-1.400 2.400-1.800z"/>
  </svg>`
}
