// Lint rules: strict type-checked TypeScript, and the layer rule of docs/ARCHITECTURE.md.
// The layer table below is the one place that says which folder may import which; anything not listed is refused.
import js from '@eslint/js';
import tseslint from 'typescript-eslint';

/** Folders from the bottom up; the value names what a folder may import besides itself. */
const layers = {
  base: [],
  hwdetect: ['base'],
  workload: ['base'],
  fuse: ['base'],
  engine: ['base'],
  prefetch: ['engine', 'base'],
  fs: ['prefetch', 'engine', 'fuse', 'base'],
  main: ['fs', 'prefetch', 'engine', 'fuse', 'hwdetect', 'base'],
  doctor: ['main', 'fs', 'engine', 'fuse', 'hwdetect', 'base'],
  cli: ['doctor', 'main', 'fs', 'prefetch', 'engine', 'fuse', 'workload', 'hwdetect', 'base'],
};
const folders = Object.keys(layers);

/** One config block a layer: imports of a folder above it, of dev/, test/, bench/ or bin/ are errors. */
const layerRules = folders.map((folder) => {
  const forbidden = folders.filter((other) => other !== folder && !layers[folder].includes(other));
  const outside = ['bin', 'dev', 'test', 'bench', 'cli', ...forbidden].filter((name) => name !== folder);
  return {
    files: [`src/${folder}/**/*.ts`],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              regex: `^(\\.\\./)+(src/)?(${[...new Set(outside)].join('|')})/`,
              message: `src/${folder} may import only: ${layers[folder].join(', ') || 'nothing above it'} (layer table in eslint.config.js).`,
            },
          ],
        },
      ],
    },
  };
});

export default tseslint.config(
  { ignores: ['dist/**', 'node_modules/**', '.tap/**', '.cache/**', 'bench/**/*.mjs', 'test/**/*.mjs'] },
  js.configs.recommended,
  ...tseslint.configs.recommendedTypeChecked.map((config) => ({ ...config, files: ['**/*.ts'] })),
  {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/ban-ts-comment': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      eqeqeq: 'error',
    },
  },
  {
    // tap's t.test returns a promise that the runner itself awaits.
    files: ['test/**/*.ts', 'bench/**/*.ts'],
    rules: { '@typescript-eslint/no-floating-promises': 'off', '@typescript-eslint/no-non-null-assertion': 'off' },
  },
  {
    // The embedded server stands alone: nothing of src/.
    files: ['dev/s3-server/**/*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            { regex: '^(\\.\\./)+(src|test|bench|bin)/', message: 'dev/s3-server depends on nothing of src/.' },
          ],
        },
      ],
    },
  },
  ...layerRules,
  {
    files: ['*.js', '**/*.mjs', '**/*.js'],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        URL: 'readonly',
        performance: 'readonly',
        setTimeout: 'readonly',
        clearTimeout: 'readonly',
      },
    },
  },
);
