import { readFileSync } from 'node:fs'
import neostandard, { plugins, resolveIgnoresFromGitignore } from 'neostandard'

const typescript = plugins['typescript-eslint']

/** Folders and files of `src/` in steps. A file may import from its own step and those below. */
const steps = JSON.parse(readFileSync(new URL('scripts/rooms.json', import.meta.url), 'utf8'))

/** For each step but the first: its files may not import from a step above. */
const importOrder = steps.slice(1).map((step, i) => {
  const above = steps.slice(0, i + 1).flat().join('|')
  const regex = `^(\\.\\./(${above})(/|$)|\\./(${above})/)`
  return {
    files: step.flatMap((name) => [`src/${name}.ts`, `src/${name}/**/*.ts`]),
    rules: {
      'no-restricted-imports': ['error', {
        patterns: [{ regex, message: 'Imports go downwards only: see "The house" in CONTRIBUTING.md.' }]
      }]
    }
  }
})

export default [
  ...neostandard({ ts: true, ignores: resolveIgnoresFromGitignore() }),
  {
    files: ['**/*.ts'],
    languageOptions: {
      parser: typescript.parser,
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname }
    },
    rules: {
      '@stylistic/max-len': ['error', { code: 100, ignoreUrls: true }],
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'separate-type-imports' }],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: { arguments: false } }]
    }
  },
  {
    files: ['src/**/*.ts'],
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      'max-lines': ['error', 300],
      'max-lines-per-function': ['error', { max: 50, IIFEs: true }],
      'no-restricted-syntax': ['error', {
        selector: 'MethodDefinition[kind=/^[gs]et$/] > PrivateIdentifier.key',
        message: 'Write a private method. V8 looks a private accessor up at each call, which takes five times as long.'
      }]
    }
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/stream/next-tick.ts', 'src/stream/next-turn.ts'],
    rules: {
      'no-restricted-globals': ['error', { name: 'setImmediate', message: 'Use onNextTurn of stream/next-turn.ts.' }],
      'no-restricted-properties': ['error', { object: 'process', property: 'nextTick', message: 'Use nextTick of stream/next-tick.ts.' }]
    }
  },
  ...importOrder
]
