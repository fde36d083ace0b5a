/// <reference types="vitest/config" />
// Builds the pages: hashed names under assets/, nothing inlined (the served policy forbids data: scripts and inline
// styles), and a brotli twin beside every text file, which the server sends to those who accept it.
import { brotliCompressSync, constants } from 'node:zlib';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, type Plugin } from 'vite';

function brotliTwins(): Plugin {
  return {
    name: 'brotli-twins',
    apply: 'build',
    enforce: 'post',
    generateBundle(_options, bundle) {
      for (const [fileName, file] of Object.entries(bundle)) {
        if (!/\.(js|css|svg|html)$/.test(fileName)) continue;
        const source = Buffer.from(file.type === 'chunk' ? file.code : file.source);
        const packed = brotliCompressSync(source, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } });
        if (packed.length < source.length) this.emitFile({ type: 'asset', fileName: `${fileName}.br`, source: packed });
      }
    },
  };
}

export default defineConfig({
  plugins: [svelte(), brotliTwins()],
  build: { target: 'es2022', assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  worker: { format: 'es' },
  server: { proxy: { '/api': process.env['TRACELAKE_API'] ?? 'http://127.0.0.1:4319' } },
  test: { include: ['src/**/*.test.ts'] },
});
