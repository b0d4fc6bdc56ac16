import java.io.BufferedReader;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.cert.CertPathValidator;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.PKIXParameters;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * Verifies leaves with Java's PKIX. Reads lines "&lt;bundle file&gt;\t&lt;leaf file&gt;", answers each with "accepted" or
 * "refused: &lt;why&gt;".
 */
final class Judge {
    public static void main(String[] arguments) throws Exception {
        var factory = CertificateFactory.getInstance("X.509");
        var lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] files = line.split("\t");
            try {
                judge(factory, files[0], files[1]);
                System.out.println("accepted");
            } catch (GeneralSecurityException refusal) {
                System.out.println("refused: " + refusal.getMessage());
            }
        }
    }

    private static void judge(CertificateFactory factory, String bundle, String leaf) throws Exception {
        Set<TrustAnchor> anchors = new LinkedHashSet<>();
        try (InputStream in = Files.newInputStream(Path.of(bundle))) {
            for (Certificate ca : factory.generateCertificates(in)) anchors.add(new TrustAnchor((X509Certificate) ca, null));
        }
        try (InputStream in = Files.newInputStream(Path.of(leaf))) {
            var path = factory.generateCertPath(List.of(factory.generateCertificate(in)));
            var parameters = new PKIXParameters(anchors);
            parameters.setRevocationEnabled(false);
            CertPathValidator.getInstance("PKIX").validate(path, parameters);
        }
    }
}
