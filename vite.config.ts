import { defineConfig } from 'vite'

// A test runner sets NODE_ENV=test for its children; the page is always built as it is served.
process.env['NODE_ENV'] = 'production'

/** Builds the page. Nothing is inlined, so that `script-src 'self'; style-src 'self'` can be the policy. */
export default defineConfig({
  root: 'dashboard/web',
  base: '/',
  build: {
    outDir: '../../dist/web',
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: 'es2022',
  },
  plugins: [
    {
      // The script sets the theme: nothing is painted before, so a dark page never flashes light.
      name: 'blocking-script',
      transformIndexHtml: {
        order: 'post',
        handler: html => html.replace('<script type="module"', '<script type="module" blocking="render"'),
      },
    },
  ],
})
