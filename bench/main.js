// Runs what `npm run build` has made of src/: suites measure plain Node on built packages.
import './dist/main.js'
