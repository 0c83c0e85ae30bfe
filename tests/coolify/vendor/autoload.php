<?php

// As the real app's: Illuminate first, then the file with the function. From Debian's packages
// php-illuminate-collections and php-illuminate-support.
require_once '/usr/share/php/Illuminate/Collections/autoload.php';
require_once '/usr/share/php/Illuminate/Support/autoload.php';
require_once __DIR__.'/../bootstrap/helpers/docker.php';
