// One HTML file with everything in it: the program embeds it, and it opens from disk without a request.
import { defineConfig } from 'vite'
import { viteSingleFile } from 'vite-plugin-singlefile'

export default defineConfig({
  plugins: [viteSingleFile({ removeViteModuleLoader: true })],
  build: { target: 'es2020', reportCompressedSize: false, emptyOutDir: true },
})
